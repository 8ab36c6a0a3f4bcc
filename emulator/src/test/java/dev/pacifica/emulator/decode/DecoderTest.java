package dev.pacifica.emulator.decode;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.EnumSet;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Prefixes, sizes, registers, addresses and immediates as APM Vol 3 §1 has them. */
class DecoderTest {
    private final Decoder decoder = new Decoder();
    private final Insn insn = new Insn();

    private Insn decode(int codeBits, String hex) {
        byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
        assertThat(decoder.decode(bytes, 0, bytes.length, codeBits, insn))
                .isEqualTo(Decoder.Status.OK);
        return insn;
    }

    private Operation operation(int codeBits, String hex) {
        InstructionRow row = decode(codeBits, hex).row;
        return row == null ? null : row.operation;
    }

    @Test
    void rexCountsOnlyDirectlyBeforeTheOpcode() {
        assertThat(decode(64, "48 01 d8").operandSize).isEqualTo(8);
        assertThat(decode(64, "48 66 01 d8").operandSize).isEqualTo(2);
        assertThat(insn.rex).isFalse();
    }

    @Test
    void rexWidthPrevailsOverTheOperandSizePrefix() {
        assertThat(decode(64, "66 48 01 d8").operandSize).isEqualTo(8);
    }

    @Test
    void theLastOfTwoRepeatPrefixesCounts() {
        assertThat(decode(64, "f2 f3 a4").rep).isEqualTo(3);
        assertThat(operation(64, "f3 f2 0f 10 c1")).isEqualTo(Operation.MOVSD_SSE);
    }

    @Test
    void operandSizePrefixDoesNotSizeAFormThatItSelects() {
        assertThat(decode(64, "66 0f 6e c0").operandSize).isEqualTo(4);
    }

    @Test
    void stackAndNearBranchInstructionsDefaultTo64Bits() {
        assertThat(decode(64, "50").operandSize).isEqualTo(8);
        assertThat(decode(64, "66 50").operandSize).isEqualTo(2);
        assertThat(decode(32, "50").operandSize).isEqualTo(4);
        assertThat(decode(64, "66 e9 34 12").imm).isEqualTo(0x1234);
    }

    @Test
    void lockNeedsALockableMemoryDestination() {
        assertThat(operation(64, "f0 01 18")).isEqualTo(Operation.ADD);
        assertThat(operation(64, "f0 01 d8")).isNull();
        assertThat(operation(64, "f0 8b 18")).isNull();
        assertThat(operation(64, "f0 90")).isNull();
    }

    @Test
    void lockMovCr0MeansCr8WhereOffered() {
        assertThat(decode(32, "f0 0f 22 c3").reg).isEqualTo(8);
        Decoder without = new Decoder(EnumSet.complementOf(EnumSet.of(CpuidFeature.ALTMOVCR8)));
        assertThat(without.decode(HexFormat.of().parseHex("f00f22c3"), 0, 4, 32, insn))
                .isEqualTo(Decoder.Status.OK);
        assertThat(insn.row).isNull();
    }

    @Test
    void controlAndDebugMovesIgnoreMod() {
        decode(64, "0f 20 03");
        assertThat(insn.row.operation).isEqualTo(Operation.MOV_FROM_CR);
        assertThat(insn.memory).isFalse();
        assertThat(insn.rm).isEqualTo(3);
        assertThat(insn.length).isEqualTo(3);
        assertThat(operation(64, "0f 20 cb")).isNull(); // CR1
        assertThat(operation(64, "44 0f 21 c0")).isNull(); // DR8
    }

    @Test
    void segmentRegistersSixAndSevenAndMovToCsAreUndefined() {
        assertThat(operation(64, "8e c8")).isNull();
        assertThat(operation(64, "8e f0")).isNull();
        assertThat(operation(64, "8c f8")).isNull();
        assertThat(decode(64, "44 8e c0").reg).isZero(); // REX.R does not extend it
    }

    @Test
    void opcodesOf64BitModeOnlyOrNever() {
        assertThat(operation(64, "27")).isNull();
        assertThat(operation(32, "27")).isEqualTo(Operation.DAA);
        assertThat(operation(64, "63 c0")).isEqualTo(Operation.MOVSXD);
        assertThat(operation(32, "63 c0")).isEqualTo(Operation.ARPL);
        assertThat(operation(64, "c5 f8 77")).isNull(); // VEX
        assertThat(operation(32, "c5 00")).isEqualTo(Operation.LDS);
        assertThat(operation(32, "c5 f8 77")).isNull(); // VEX
        assertThat(operation(64, "8f e8 78 00")).isNull(); // XOP
    }

    @Test
    void featuresThatAreNotOfferedAreUndefinedOrAnOlderInstruction() {
        Decoder old = new Decoder(EnumSet.of(CpuidFeature.CX8));
        byte[] popcnt = HexFormat.of().parseHex("f30fb8c1");
        old.decode(popcnt, 0, 4, 64, insn);
        assertThat(insn.row).isNull();
        byte[] tzcnt = HexFormat.of().parseHex("f30fbcc1");
        old.decode(tzcnt, 0, 4, 64, insn);
        assertThat(insn.row.operation).isEqualTo(Operation.BSF);
        byte[] cmpxchg16b = HexFormat.of().parseHex("480fc70e");
        old.decode(cmpxchg16b, 0, 4, 64, insn);
        assertThat(insn.row).isNull();
        old.decode(cmpxchg16b, 1, 3, 64, insn);
        assertThat(insn.row.operation).isEqualTo(Operation.CMPXCHG8B);
    }

    @Test
    void nopIsAnExchangeWithRexB() {
        assertThat(operation(64, "90")).isEqualTo(Operation.NOP);
        assertThat(operation(64, "f3 90")).isEqualTo(Operation.PAUSE);
        assertThat(operation(64, "41 90")).isEqualTo(Operation.XCHG);
        assertThat(operation(64, "f3 41 90")).isEqualTo(Operation.XCHG);
        assertThat(insn.rm).isEqualTo(8);
    }

    @Test
    void byteRegistersFourToSevenDependOnRex() {
        assertThat(decode(64, "88 e0").byteReg()).isEqualTo(16);
        assertThat(decode(64, "40 88 e0").byteReg()).isEqualTo(4);
    }

    @Test
    void addresses() {
        decode(64, "8b 44 8d f8"); // mov eax, [rbp + rcx*4 - 8]
        assertThat(insn.base).isEqualTo(5);
        assertThat(insn.index).isEqualTo(1);
        assertThat(insn.scale).isEqualTo(2);
        assertThat(insn.disp).isEqualTo(-8);
        assertThat(insn.segment).isEqualTo(2);
        decode(64, "8b 05 10 00 00 00");
        assertThat(insn.base).isEqualTo(Insn.RIP);
        decode(64, "8b 04 25 10 00 00 00");
        assertThat(insn.base).isEqualTo(Insn.NO_REGISTER);
        assertThat(insn.index).isEqualTo(Insn.NO_REGISTER);
        decode(64, "42 8b 04 24"); // index R12 exists, RSP does not
        assertThat(insn.index).isEqualTo(12);
        decode(64, "41 8b 45 00"); // R13 as base: DS
        assertThat(insn.segment).isEqualTo(3);
        decode(16, "8b 42 fe"); // mov ax, [bp + si - 2]
        assertThat(insn.base).isEqualTo(5);
        assertThat(insn.index).isEqualTo(6);
        assertThat(insn.disp).isEqualTo(-2);
        assertThat(insn.segment).isEqualTo(2);
        decode(16, "8b 06 34 82");
        assertThat(insn.base).isEqualTo(Insn.NO_REGISTER);
        assertThat(insn.disp & 0xFFFF).isEqualTo(0x8234);
    }

    @Test
    void segmentOverridesIn64BitModeAreFsAndGs() {
        assertThat(decode(64, "2e 8b 00").segment).isEqualTo(3);
        assertThat(insn.segmentOverride).isFalse();
        assertThat(decode(64, "65 2e 8b 00").segment).isEqualTo(5);
        assertThat(decode(32, "2e 8b 00").segment).isEqualTo(1);
    }

    @Test
    void immediates() {
        assertThat(decode(64, "48 b8 88 77 66 55 44 33 22 11").imm).isEqualTo(0x1122334455667788L);
        assertThat(decode(64, "48 05 00 00 00 80").imm).isEqualTo(-0x8000_0000L);
        assertThat(decode(64, "cd 80").imm).isEqualTo(0x80);
        assertThat(decode(64, "6a 80").imm).isEqualTo(-128);
        decode(64, "c8 10 80 05");
        assertThat(insn.imm).isEqualTo(0x8010);
        assertThat(insn.imm2).isEqualTo(5);
        decode(32, "ea 78 56 34 92 10 00");
        assertThat(insn.imm).isEqualTo(0x92345678L);
        assertThat(insn.imm2).isEqualTo(0x10);
        decode(64, "a1 88 77 66 55 44 33 22 11");
        assertThat(insn.disp).isEqualTo(0x1122334455667788L);
        assertThat(insn.memory).isTrue();
    }

    @Test
    void fifteenBytesAreTheLimit() {
        byte[] bytes = new byte[32];
        java.util.Arrays.fill(bytes, (byte) 0x66);
        bytes[14] = (byte) 0x90;
        assertThat(decoder.decode(bytes, 0, 32, 64, insn)).isEqualTo(Decoder.Status.OK);
        assertThat(insn.length).isEqualTo(15);
        bytes[14] = 0x66;
        assertThat(decoder.decode(bytes, 0, 32, 64, insn)).isEqualTo(Decoder.Status.TOO_LONG);
    }

    @Test
    void eachPrefixOfAnInstructionAsksForMore() {
        byte[] bytes = HexFormat.of().parseHex("66f0488184d178563412efbe0000");
        for (int n = 0; n < 14; n++) {
            assertThat(decoder.decode(bytes, 0, n, 64, insn))
                    .as("%d bytes", n)
                    .isEqualTo(Decoder.Status.NEED_MORE);
        }
        assertThat(decoder.decode(bytes, 0, 14, 64, insn)).isEqualTo(Decoder.Status.OK);
        assertThat(insn.length).isEqualTo(14);
    }

    @Test
    void noBytesWhateverMakeItFail() {
        Random random = new Random(1);
        byte[] bytes = new byte[64];
        for (int i = 0; i < 300_000; i++) {
            random.nextBytes(bytes);
            int codeBits = 16 << random.nextInt(3);
            Decoder.Status status = decoder.decode(bytes, 40, random.nextInt(24), codeBits, insn);
            if (status == Decoder.Status.OK) {
                assertThat(insn.length).isBetween(1, 15);
                assertThat(Disassembler.text(insn, codeBits, i)).isNotEmpty();
            }
        }
    }
}
