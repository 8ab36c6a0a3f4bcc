package dev.pacifica.emulator.decode;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** One form of an instruction: a line of {@code instructions.table}. Immutable. */
public final class InstructionRow {
    /** How the effective operand size comes about. */
    public enum SizeRule {
        /** By mode, 66 and REX.W. */
        STANDARD,
        /** 1. */
        BYTE,
        /** 2. */
        WORD,
        /** 2 or 4 by mode and 66. */
        WORD_OR_DWORD,
        /** 4, or 8 with REX.W: 66 belongs to the opcode. */
        DWORD_OR_QWORD,
        /** 64-bit mode: 8, or 2 with 66; otherwise standard. */
        DEFAULT_64,
        /** 64-bit mode: 8; otherwise standard. */
        FORCED_64,
        /** 8 in 64-bit mode, 4 otherwise, whatever the prefixes. */
        FULL
    }

    /** What repeat prefixes do. */
    public enum Repeat {
        NONE,
        /** F2 and F3 both repeat rCX times. */
        REP,
        /** F3 repeats while ZF is 1, F2 while ZF is 0. */
        REPZ
    }

    /** What follows the opcode, ModRM and displacement. */
    enum ImmediateForm {
        NONE,
        BYTE,
        BYTE_SIGNED,
        WORD,
        WORD_OR_DWORD,
        FULL,
        RELATIVE_BYTE,
        RELATIVE,
        FAR_POINTER,
        OFFSET,
        WORD_BYTE
    }

    /** Position in the table, dense from 0. */
    public final int id;

    /** The encoding column. */
    public final String encoding;

    /** Lower-case mnemonic; families complete theirs by condition or size. */
    public final String mnemonic;

    public final Operation operation;

    /** As the manual orders them, destination first. */
    public final List<Operand> operands;

    /** The feature that must be offered, or null. */
    public final CpuidFeature feature;

    /** 0 where the instruction raises #GP unless CPL is 0, otherwise 3. */
    public final int cpl;

    /** IN, OUT, CLI, STI: allowed by IOPL (and the I/O permission map for ports). */
    public final boolean ioplSensitive;

    /**
     * #VMEXIT code that the instruction can cause, -1 for none; for CR and DR moves that of
     * register 0.
     */
    public final int intercept;

    /**
     * Masks of rFLAGS bits. A flag in both written and undefined is defined for some operands only
     * (shift counts).
     */
    public final int flagsRead;

    public final int flagsWritten;
    public final int flagsUndefined;

    public final boolean lockable;

    /** LOCK selects CR8 where AltMovCr8 is offered. */
    public final boolean lockSelectsCr8;

    public final Repeat repeat;
    public final SizeRule sizeRule;
    public final boolean validIn64;
    public final boolean validOutside64;

    /** #UD in real and virtual-8086 mode. */
    public final boolean protectedOnly;

    /** Whether a ModRM byte follows the opcode. */
    public final boolean hasModRm;

    /** Whether ModRM.mod is ignored and rm is always a register (CR and DR moves). */
    final boolean ignoresMod;

    final ImmediateForm immediateForm;

    /** 0: one-byte, 1: 0F, 2: 0F 38, 3: 0F 3A. */
    final int map;

    /** First opcode byte of the form and how many follow it (1, 8 or 16). */
    final int opcode;

    final int opcodeCount;

    /** -1 any, 0 none, 1 66, 2 F3, 3 F2. */
    final int prefixClass;

    final boolean needsRexW;
    final boolean needsRexB;

    /** ModRM.reg that the form demands, -1 for any; see {@link #fill}. */
    final int reg;

    final int modRmByte;
    final int modRmCount;
    final boolean memoryOnly;
    final boolean registerOnly;

    /** The register numbers of these operands have three bits whatever REX says. */
    final boolean narrowReg;

    final boolean narrowRm;

    /** Whether a segment, control or debug register is named that may not exist. */
    final boolean namedRegister;

    /** Whether the low bits of the opcode name a general register. */
    final boolean opcodeRegister;

    InstructionRow(int id, String[] column, List<Operand> operands) {
        this.id = id;
        encoding = column[0];
        int colon = column[1].indexOf(':');
        String name = colon < 0 ? column[1] : column[1].substring(0, colon);
        operation = Operation.valueOf(name);
        mnemonic = colon < 0 ? name.toLowerCase(Locale.ROOT) : column[1].substring(colon + 1);
        this.operands = operands;
        validIn64 = !column[4].contains("no64");
        validOutside64 = !column[4].equals("64");
        protectedOnly = column[4].contains("prot");
        lockable = column[5].equals("lock");
        lockSelectsCr8 = column[5].equals("altcr8");
        repeat =
                column[5].equals("rep")
                        ? Repeat.REP
                        : column[5].equals("repz") ? Repeat.REPZ : Repeat.NONE;
        feature = column[6].isEmpty() ? null : CpuidFeature.valueOf(column[6]);
        cpl = column[7].equals("0") ? 0 : 3;
        ioplSensitive = column[7].equals("iopl");
        intercept = column[8].isEmpty() ? -1 : InstructionIntercept.valueOf(column[8]).exitCode;
        flagsRead = flags(column[9]);
        flagsWritten = flags(column[10]);
        flagsUndefined = flags(column[11]);

        String[] token = column[0].split(" ");
        int t = 0;
        int prefix = -1;
        boolean rexW = false;
        boolean rexB = false;
        for (boolean more = true; more; ) {
            switch (token[t]) {
                case "REX.W" -> rexW = true;
                case "REX.B" -> rexB = true;
                case "NP" -> prefix = 0;
                // 66 is never an opcode of this table, nor are F3 and F2.
                case "66" -> prefix = 1;
                case "F3" -> prefix = 2;
                case "F2" -> prefix = 3;
                default -> {
                    more = false;
                    t--;
                }
            }
            t++;
        }
        needsRexW = rexW;
        needsRexB = rexB;
        prefixClass = prefix;
        int m = 0;
        if (token[t].equals("0F") && t + 1 < token.length) {
            m = 1;
            t++;
            if (t + 1 < token.length
                    && (token[t].equals("38") || token[t].equals("3A"))
                    && token[t + 1].length() == 2) {
                m = token[t].equals("38") ? 2 : 3;
                t++;
            }
        }
        map = m;
        opcode = Integer.parseInt(token[t].substring(0, 2), 16);
        opcodeRegister = token[t].endsWith("+r");
        int low = opcodeRegister ? 8 - (opcode & 7) : 1;
        opcodeCount = token[t].endsWith("+c") ? 16 : low;
        t++;
        int r = -1;
        int whole = -1;
        int wholeCount = 1;
        boolean memory = false;
        boolean register = false;
        for (; t < token.length; t++) {
            switch (token[t]) {
                case "m" -> memory = true;
                case "r" -> register = true;
                default -> {
                    if (token[t].startsWith("/")) {
                        r = token[t].charAt(1) - '0';
                    } else {
                        whole = Integer.parseInt(token[t].substring(0, 2), 16);
                        wholeCount = token[t].endsWith("+i") ? 8 : 1;
                    }
                }
            }
        }
        boolean modRm = r >= 0 || whole >= 0;
        boolean ignore = false;
        boolean smallReg = false;
        boolean smallRm = false;
        boolean segment = false;
        ImmediateForm immediate = ImmediateForm.NONE;
        for (Operand operand : operands) {
            modRm |= operand.usesRm() || operand.usesReg();
            switch (operand.kind()) {
                case MEMORY -> memory = true;
                case GPR_RM, MMX_RM, XMM_RM -> register = true;
                case CONTROL, DEBUG -> ignore = true;
                default -> {}
            }
            segment |= operand.kind() == Operand.Kind.SEGMENT;
            smallReg |=
                    operand.kind() == Operand.Kind.MMX || operand.kind() == Operand.Kind.SEGMENT;
            smallRm |=
                    operand.kind() == Operand.Kind.MMX_RM
                            || operand.kind() == Operand.Kind.MMX_OR_MEMORY
                            || operand.kind() == Operand.Kind.STI;
            immediate = immediateForm(immediate, operand);
        }
        reg = r;
        modRmByte = whole;
        modRmCount = wholeCount;
        hasModRm = modRm;
        ignoresMod = ignore;
        memoryOnly = memory && !ignore;
        registerOnly = register && !ignore;
        narrowReg = smallReg || r >= 0;
        namedRegister = ignore || segment;
        narrowRm = smallRm;
        immediateForm = immediate;
        sizeRule = sizeRule(column[3], prefixClass >= 0);
    }

    private static ImmediateForm immediateForm(ImmediateForm before, Operand operand) {
        return switch (operand.kind()) {
            case IMMEDIATE ->
                    before == ImmediateForm.WORD
                            ? ImmediateForm.WORD_BYTE
                            : switch (operand.letters()) {
                                case "Ib" -> ImmediateForm.BYTE;
                                case "Ibs" -> ImmediateForm.BYTE_SIGNED;
                                case "Iw" -> ImmediateForm.WORD;
                                case "Iz" -> ImmediateForm.WORD_OR_DWORD;
                                case "Iv" -> ImmediateForm.FULL;
                                default -> throw new IllegalArgumentException(operand.letters());
                            };
            case RELATIVE ->
                    operand.width() == Operand.Width.B
                            ? ImmediateForm.RELATIVE_BYTE
                            : ImmediateForm.RELATIVE;
            case FAR_POINTER -> ImmediateForm.FAR_POINTER;
            case OFFSET -> ImmediateForm.OFFSET;
            default -> before;
        };
    }

    private static SizeRule sizeRule(String column, boolean prefixSelects) {
        return switch (column) {
            case "" -> prefixSelects ? SizeRule.DWORD_OR_QWORD : SizeRule.STANDARD;
            case "v" -> SizeRule.STANDARD;
            case "b" -> SizeRule.BYTE;
            case "w" -> SizeRule.WORD;
            case "z" -> SizeRule.WORD_OR_DWORD;
            case "d64" -> SizeRule.DEFAULT_64;
            case "f64" -> SizeRule.FORCED_64;
            case "full" -> SizeRule.FULL;
            default -> throw new IllegalArgumentException("size " + column);
        };
    }

    private static int flags(String letters) {
        int mask = 0;
        for (int i = 0; i < letters.length(); i++) {
            mask |=
                    switch (letters.charAt(i)) {
                        case 'c' -> 1;
                        case 'p' -> 1 << 2;
                        case 'a' -> 1 << 4;
                        case 'z' -> 1 << 6;
                        case 's' -> 1 << 7;
                        case 'i' -> 1 << 9;
                        case 'd' -> 1 << 10;
                        case 'o' -> 1 << 11;
                        default -> throw new IllegalArgumentException("flags " + letters);
                    };
        }
        return mask;
    }

    /** Enters {@code id + 1} at each ModRM byte that encodes the form. */
    void fill(short[] byModRm) {
        if (modRmByte >= 0) {
            Arrays.fill(byModRm, modRmByte, modRmByte + modRmCount, (short) (id + 1));
            return;
        }
        for (int high = registerOnly ? 0xC0 : 0; high < (memoryOnly ? 0xC0 : 0x100); high += 0x40) {
            int from = reg < 0 ? high : high + reg * 8;
            Arrays.fill(byModRm, from, from + (reg < 0 ? 0x40 : 8), (short) (id + 1));
        }
    }

    /** Whether all ModRM bytes encode this form, or there is none. */
    boolean acceptsEveryModRm() {
        return !hasModRm || (modRmByte < 0 && reg < 0 && !memoryOnly && !registerOnly);
    }

    @Override
    public String toString() {
        return encoding + " " + operation + " " + operands.stream().map(Operand::letters).toList();
    }
}
