package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * System-management mode of one processor (APM Vol 2 chapter 10): SMI and RSM, the SMM registers
 * and their lock (§15.32), software's control of SMM (§15.30.3), and SMM beside guests (§15.22).
 */
public final class SystemManagement implements Stateful {
    static final int BASE_MSR = 0xc001_0111;
    static final int ADDRESS_MSR = 0xc001_0112;
    static final int MASK_MSR = 0xc001_0113;
    static final int CONTROL_MSR = 0xc001_0116;
    static final int KEY_MSR = 0xc001_0119;

    private static final int RESET_BASE = 0x3_0000;
    private static final int ENTRY = 0x8000;

    /** SMM_ADDR and the mask part of SMM_MASK: bits 47:17. */
    private static final long RANGE = (1L << CpuModel.PHYSICAL_BITS) - (1L << 17);

    private static final long ASEG_ENABLED = 1;
    private static final long TSEG_ENABLED = 2;

    /** SMM_CTL; its special cycles are seen by nobody here. */
    private static final long DISMISS = 1;

    private static final long ENTER = 2;
    private static final long EXIT = 8;
    private static final long CONTROL_DEFINED = 0x1f;

    private static final long HWCR_LOCK = 1;

    /** HWCR.SMM_PGCFG_LOCK. */
    private static final long HWCR_PAGING_LOCK = 1L << 33;

    /** HWCR.SmiSpCycDis and RsmSpCycDis, which the lock makes read-only. */
    private static final long HWCR_LOCKED = 3 << 13;

    private static final int CODE_ATTR = 0x89b;
    private static final int DATA_ATTR = 0x893;
    private static final long CR0_CLEARED = Cpu.CR0_PE | Cpu.CR0_EM | Cpu.CR0_TS | Cpu.CR0_PG;
    private static final int SVM_GUEST = 2;
    private static final int SVM_NESTED = 4;
    private static final int SVM_HOST_IF = 8;

    private final Cpu cpu;
    private final IoTraps ioTraps;
    private final SmiCause cause;
    private final SaveStateArea area = new SaveStateArea();

    /** In SMM, by an SMI or by SMM_CTL. */
    private boolean active;

    /** In SMM by SMM_CTL: no state was saved, and RSM is not the way out. */
    private boolean byControl;

    /** A guest was interrupted and waits for RSM. */
    private boolean guestWaits;

    /** NMIs were blocked when SMM_CTL entered SMM. */
    private boolean nmiWasBlocked;

    /** Debug traps of the interrupted program's last instruction, to be taken after RSM. */
    private int heldTraps;

    private int base = RESET_BASE;
    private long tsegAddress;
    private long mask;
    private boolean locked;
    private long key;

    /** The handler locked its paging configuration; RSM unlocks it (§10.3.9). */
    private boolean pagingLocked;

    SystemManagement(Cpu cpu) {
        this.cpu = cpu;
        ioTraps = new IoTraps(cpu);
        cause = new SmiCause(cpu);
    }

    /** Whether the processor is in SMM: SMIs and INIT wait, SMRAM is there. */
    public boolean active() {
        return active;
    }

    /** Whether the processor runs a handler that an SMI entered and that RSM ends. */
    public boolean handling() {
        return active && !byControl;
    }

    /** HWCR.SMMLOCK, with which guests' SMIs are not intercepted (§15.32). */
    boolean locked() {
        return locked;
    }

    /** Whether an SMI is to be taken at this instruction boundary, GIF being set. */
    boolean due() {
        return !active && (cpu.smiPending || cause.traps != 0);
    }

    // ---- sources ----

    /**
     * IN or OUT is about to access a port: true if an I/O trap catches it, which ends the
     * instruction without the access; the SMI follows. With GIF clear such an SMI is lost, and in
     * SMM there is none (§15.22.2): the access takes place.
     */
    boolean trapped(int port, boolean in, int size, int addressSize) {
        if (!ioTraps.enabled() || !cpu.gif || active) {
            return false;
        }
        int hits = ioTraps.hits(port, in);
        if (hits == 0) {
            return false;
        }
        boolean pending = cpu.smiPending;
        ioTraps.cycle();
        cpu.smiPending = pending; // what the chipset sends back here is the internal SMI itself
        cause.ioInstruction(port, in, size, false, false, addressSize, Cpu.ES);
        cause.traps = hits;
        cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        return true;
    }

    /** An SMI became pending while the I/O instruction at RIP accessed its port. */
    void raisedByIo(
            int port,
            boolean in,
            int size,
            boolean string,
            boolean repeated,
            int addressSize,
            int segment) {
        cause.ioInstruction(port, in, size, string, repeated, addressSize, segment);
    }

    /** Table 15-14: EXITINFO1 of the intercepted SMI. */
    long exitInfo1() {
        return cause.exitInfo1(cpu.events.pendingTraps());
    }

    long exitInfo2() {
        return cause.exitInfo2();
    }

    /**
     * The boundary at which an SMI could have been taken is over: the instruction it came with is
     * known no more, and an internal SMI is lost.
     */
    void boundaryPassed() {
        if (causeKnown()) {
            cause.clear();
        }
    }

    /** Whether {@link #boundaryPassed} has something to forget. */
    boolean causeKnown() {
        return cause.traps != 0 || cpu.smiPending;
    }

    // ---- SMI ----

    /** Takes the SMI: saves the interrupted program, in a guest or not, and starts the handler. */
    void enter(long rflags) {
        boolean internal = cause.traps != 0;
        boolean halted = cpu.activity == Cpu.HALTED;
        if (!internal) {
            cpu.smiPending = false;
        }
        active = true;
        byControl = false;
        guestWaits = cpu.guestMode;
        heldTraps = cpu.events.takePendingTraps();
        protectRanges();
        saveState(rflags, halted);
        cause.clear();
        if (guestWaits) {
            cpu.svm.suspend();
        }
        cpu.activity = Cpu.RUNNING;
        cpu.msrs.frequency.start();
        cpu.nmiBlocked = true;
        cpu.interruptShadow = false;
        cpu.stackShadow = false;
        cpu.monitorArmed = false;
        startHandler();
    }

    /** Table 10-3. */
    private void startHandler() {
        for (int i = Cpu.ES; i <= Cpu.GS; i++) {
            cpu.segSelector[i] = 0;
            cpu.segBase[i] = 0;
            cpu.segLimit[i] = 0xffff_ffffL;
            cpu.segAttr[i] = DATA_ATTR;
        }
        cpu.segSelector[Cpu.CS] = base >>> 4 & 0xffff;
        cpu.segBase[Cpu.CS] = base & 0xffff_ffffL;
        cpu.segAttr[Cpu.CS] = CODE_ATTR;
        cpu.msrs.recordException(cpu.rip, ENTRY);
        cpu.rip = ENTRY;
        cpu.cr0 &= ~CR0_CLEARED;
        cpu.cr4 = 0;
        cpu.efer = 0;
        cpu.dr[7] = 0x400;
        cpu.cpl = 0;
        cpu.setRflags(2);
        cpu.mmu.enterSystemManagement();
        cpu.updateMode();
        cpu.attention |= Cpu.ATTENTION_CONTEXT | Cpu.ATTENTION_INTERRUPT;
    }

    private void saveState(long rflags, boolean halted) {
        area.clear();
        for (int i = Cpu.ES; i <= Cpu.GS; i++) {
            area.saveSegment(cpu, i, 16 * i);
        }
        area.put32(SaveStateArea.GDTR + 4, cpu.gdtrLimit);
        area.put64(SaveStateArea.GDTR + 8, cpu.gdtrBase);
        area.saveSegment(cpu, Cpu.LDTR, SaveStateArea.LDTR);
        area.put32(SaveStateArea.IDTR + 4, cpu.idtrLimit);
        area.put64(SaveStateArea.IDTR + 8, cpu.idtrBase);
        area.saveSegment(cpu, Cpu.TR, SaveStateArea.TR);
        cause.store(area, heldTraps);
        area.put8(SaveStateArea.AUTO_HALT_RESTART, halted ? 1 : 0);
        area.put8(SaveStateArea.NMI_MASK, cpu.nmiBlocked ? 1 : 0);
        area.put8(SaveStateArea.CPL, cpu.cpl);
        area.put64(SaveStateArea.EFER, cpu.efer);
        area.put32(SaveStateArea.REVISION, SaveStateArea.REVISION_VALUE);
        area.put32(SaveStateArea.SMBASE, base);
        area.put64(SaveStateArea.CR4, cpu.cr4);
        area.put64(SaveStateArea.CR3, cpu.cr3);
        area.put64(SaveStateArea.CR0, cpu.cr0);
        area.put64(SaveStateArea.DR7, cpu.dr[7]);
        area.put64(SaveStateArea.DR6, cpu.dr[6]);
        area.put64(SaveStateArea.RFLAGS, rflags);
        area.put64(SaveStateArea.RIP, cpu.rip);
        for (int i = 0; i < 16; i++) {
            area.put64(SaveStateArea.register(i), cpu.r[i]);
        }
        if (guestWaits) {
            saveGuestState();
        }
        area.write(cpu, base);
    }

    private void saveGuestState() {
        boolean nested = cpu.svm.nestedPaging();
        long state =
                SVM_GUEST
                        | (nested ? SVM_NESTED : 0)
                        | (cpu.svm.hostInterruptFlag() ? SVM_HOST_IF : 0);
        area.put64(SaveStateArea.SVM_GUEST, state);
        area.put64(SaveStateArea.SVM_VMCB, cpu.svm.vmcbAddress());
        area.put64(SaveStateArea.SVM_VIRTUAL_INTERRUPT, cpu.svm.virtualInterruptControl());
        area.put64(SaveStateArea.SVM_GUEST_PAT, nested ? cpu.msrs.pat : 0);
        area.put64(SaveStateArea.SVM_HOST_EFER, cpu.svm.hostEfer());
        area.put64(SaveStateArea.SVM_HOST_CR4, cpu.svm.hostCr4());
        area.put64(SaveStateArea.SVM_HOST_CR3, cpu.svm.hostCr3());
        area.put64(SaveStateArea.SVM_HOST_CR0, cpu.svm.hostCr0());
    }

    // ---- RSM ----

    /**
     * RSM in a handler: goes on with the interrupted program as the save-state area has it, or
     * shuts the processor down if that is illegal (§10.4).
     */
    void resume() {
        area.read(cpu, base);
        if (illegal()) {
            cpu.events.enterShutdown();
            return;
        }
        active = false;
        pagingLocked = false;
        protectRanges();
        base = area.get32(SaveStateArea.SMBASE);
        cpu.nmiBlocked = (area.get8(SaveStateArea.NMI_MASK) & 1) != 0;
        cpu.gif = true;
        if (guestWaits) {
            cpu.svm.resume();
        }
        guestWaits = false;
        loadRegisters();
        cpu.mmu.leaveSystemManagement();
        cpu.updateMode();
        cpu.attention |= Cpu.ATTENTION_CONTEXT | Cpu.ATTENTION_INTERRUPT | Cpu.ATTENTION_DEBUG;
        if (area.get8(SaveStateArea.IO_RESTART) != 0) {
            restartIo();
        } else {
            cpu.events.givePendingTraps(heldTraps);
            if (area.get8(SaveStateArea.AUTO_HALT_RESTART) != 0) {
                cpu.activity = Cpu.HALTED;
                cpu.msrs.frequency.stop();
                if (cpu.observer != null) {
                    cpu.observer.halt(cpu.id, Cpu.HALTED);
                }
            }
        }
        heldTraps = 0;
    }

    private boolean illegal() {
        long cr0 = area.get64(SaveStateArea.CR0);
        long cr3 = area.get64(SaveStateArea.CR3);
        long cr4 = area.get64(SaveStateArea.CR4);
        long efer = area.get64(SaveStateArea.EFER);
        boolean protectedMode = (cr0 & Cpu.CR0_PE) != 0;
        boolean paging = (cr0 & Cpu.CR0_PG) != 0;
        boolean longMode = paging && (efer & Cpu.EFER_LME) != 0;
        int code = Cpu.ATTR_L | Cpu.ATTR_DB;
        return paging && !protectedMode && (!guestWaits || longMode) // paged real mode: §15.19
                || (cr0 & (Cpu.CR0_CD | Cpu.CR0_NW)) == Cpu.CR0_NW
                || cr0 >>> 32 != 0
                || longMode && cr3 >>> CpuModel.PHYSICAL_BITS != 0
                || (cr4 & ~cpu.model.cr4Mask()) != 0
                || area.get64(SaveStateArea.DR6) >>> 32 != 0
                || area.get64(SaveStateArea.DR7) >>> 32 != 0
                || (efer & ~(cpu.model.eferMask() | Cpu.EFER_LMA)) != 0
                || longMode && (cr4 & Cpu.CR4_PAE) == 0
                || longMode && (area.get16(16 * Cpu.CS + 2) & code) == code
                || area.get32(SaveStateArea.REVISION) != SaveStateArea.REVISION_VALUE;
    }

    private void loadRegisters() {
        for (int i = Cpu.ES; i <= Cpu.GS; i++) {
            area.loadSegment(cpu, i, 16 * i);
        }
        cpu.gdtrLimit = area.get16(SaveStateArea.GDTR + 4);
        cpu.gdtrBase = canonical(area.get64(SaveStateArea.GDTR + 8));
        area.loadSegment(cpu, Cpu.LDTR, SaveStateArea.LDTR);
        cpu.idtrLimit = area.get16(SaveStateArea.IDTR + 4);
        cpu.idtrBase = canonical(area.get64(SaveStateArea.IDTR + 8));
        area.loadSegment(cpu, Cpu.TR, SaveStateArea.TR);
        cpu.cr0 =
                area.get64(SaveStateArea.CR0) & ControlRegisterInstructions.CR0_IMPLEMENTED
                        | Cpu.CR0_ET;
        cpu.cr3 = area.get64(SaveStateArea.CR3);
        cpu.cr4 = area.get64(SaveStateArea.CR4);
        long efer = area.get64(SaveStateArea.EFER) & ~Cpu.EFER_LMA;
        boolean paging = (cpu.cr0 & Cpu.CR0_PG) != 0 && (cpu.cr4 & Cpu.CR4_PAE) != 0;
        boolean longMode = paging && (efer & Cpu.EFER_LME) != 0;
        cpu.efer = longMode ? efer | Cpu.EFER_LMA : efer;
        cpu.dr[6] = area.get64(SaveStateArea.DR6) & 0xe00f | 0xffff_0ff0L;
        cpu.dr[7] = area.get64(SaveStateArea.DR7) & 0xffff_23ffL | 0x400;
        for (int i = 0; i < 16; i++) {
            cpu.r[i] = area.get64(SaveStateArea.register(i));
        }
        long rflags = area.get64(SaveStateArea.RFLAGS);
        boolean protectedMode = (cpu.cr0 & Cpu.CR0_PE) != 0;
        if (longMode || !protectedMode) {
            rflags &= ~Cpu.VM;
        }
        cpu.cpl =
                !protectedMode ? 0 : (rflags & Cpu.VM) != 0 ? 3 : area.get8(SaveStateArea.CPL) & 3;
        cpu.setRflags(rflags);
        boolean code64 = longMode && (cpu.segAttr[Cpu.CS] & Cpu.ATTR_L) != 0;
        long rip = area.get64(SaveStateArea.RIP);
        cpu.rip = code64 ? rip : rip & 0xffff_ffffL;
    }

    /** §10.3.8: the interrupted I/O instruction, or iteration, is executed again. */
    private void restartIo() {
        long rip = area.get64(SaveStateArea.IO_RIP);
        cpu.rip = cpu.mode64 ? rip : rip & 0xffff_ffffL;
        cpu.r[Cpu.RCX] = area.get64(SaveStateArea.IO_RCX);
        cpu.r[Cpu.RSI] = area.get64(SaveStateArea.IO_RSI);
        cpu.r[Cpu.RDI] = area.get64(SaveStateArea.IO_RDI);
    }

    private static long canonical(long address) {
        return address << 16 >> 16;
    }

    // ---- registers ----

    private GuestException fault() {
        return cpu.fault(GuestException.GP, 0);
    }

    /** Whether this is one of the SMM registers. */
    static boolean owns(int msr) {
        return msr >= BASE_MSR && msr <= MASK_MSR
                || msr == CONTROL_MSR
                || msr == KEY_MSR
                || msr >= IoTraps.FIRST_MSR && msr <= IoTraps.CONTROL_MSR
                || msr == IoTraps.TRIGGER_MSR;
    }

    /** RDMSR of one of them. */
    long readMsr(int msr) {
        return switch (msr) {
            case BASE_MSR -> base & 0xffff_ffffL;
            case ADDRESS_MSR -> tsegAddress;
            case MASK_MSR -> mask;
            case KEY_MSR -> 0; // write-only, reads as zero (§15.32.2)
            case CONTROL_MSR -> throw fault(); // write-only
            default -> ioTraps.readMsr(msr);
        };
    }

    /** WRMSR of one of them. */
    void writeMsr(int msr, long value) {
        switch (msr) {
            case CONTROL_MSR -> writeControl(value);
            case KEY_MSR -> writeKey(value);
            case BASE_MSR -> base = locked ? base : (int) value;
            case ADDRESS_MSR -> setRanges(value & RANGE, mask);
            case MASK_MSR -> setRanges(tsegAddress, value & (RANGE | ASEG_ENABLED | TSEG_ENABLED));
            default -> ioTraps.writeMsr(msr, value);
        }
    }

    private void setRanges(long newAddress, long newMask) {
        if (!locked) {
            tsegAddress = newAddress;
            mask = newMask;
            protectRanges();
            cpu.mmu.flushAll(TlbFlushCause.MSR);
        }
    }

    /** Outside SMM the protected ranges are out of reach (§10.2.5). */
    private void protectRanges() {
        boolean aseg = (mask & ASEG_ENABLED) != 0;
        boolean tseg = (mask & TSEG_ENABLED) != 0;
        cpu.mmu.hidden.protect(aseg, tseg, tsegAddress, mask, active);
    }

    /** What HWCR reads as: its other bits, and the lock. */
    long hwcr(long others) {
        return others | (locked ? HWCR_LOCK : 0) | (pagingLocked ? HWCR_PAGING_LOCK : 0);
    }

    /** WRMSR HWCR: SMMLOCK can be set only; returns the other bits as they are then (§15.32.1). */
    long writeHwcr(long old, long value) {
        long kept = locked ? HWCR_LOCKED : 0;
        if ((value & HWCR_PAGING_LOCK) != 0 && cpu.model.has(CpuFeature.SMM_PGCFG_LOCK)) {
            if (!active) {
                throw fault();
            }
            pagingLocked = true;
        }
        locked |= (value & HWCR_LOCK) != 0;
        return value & ~(kept | HWCR_LOCK | HWCR_PAGING_LOCK) | old & kept;
    }

    /** #GP(0) if the paging configuration is locked: before MOV to CR0, CR3, CR4, WRMSR EFER. */
    void checkPagingUnlocked() {
        if (pagingLocked) {
            throw fault();
        }
    }

    /** §15.32.2. */
    private void writeKey(long value) {
        if (!locked) {
            key = value;
        } else if (value == key && key != 0) {
            locked = false;
        }
    }

    /** §15.30.3, in the order of the manual; what does not match is ignored. */
    private void writeControl(long value) {
        if (locked || (value & ~CONTROL_DEFINED) != 0 || cpu.model.has(CpuFeature.NO_SMM_CTL)) {
            throw fault();
        }
        if ((value & ENTER) != 0 && !active) {
            active = true;
            byControl = true;
            nmiWasBlocked = cpu.nmiBlocked;
            cpu.nmiBlocked = true;
            protectRanges();
            cpu.mmu.flushAll(TlbFlushCause.SMM_CTL);
        }
        if ((value & DISMISS) != 0) {
            cpu.smiPending = false;
            cause.clear();
        }
        if ((value & EXIT) != 0 && byControl) {
            active = false;
            byControl = false;
            pagingLocked = false;
            cpu.nmiBlocked = nmiWasBlocked;
            protectRanges();
            cpu.mmu.flushAll(TlbFlushCause.SMM_CTL);
            cpu.attention |= Cpu.ATTENTION_INTERRUPT;
        }
    }

    /** INIT, which only a shutdown lets through to SMM: the interrupted program is gone. */
    void abandon() {
        active = false;
        byControl = false;
        guestWaits = false;
        pagingLocked = false;
        heldTraps = 0;
        cause.clear();
        protectRanges();
    }

    /** Power-on and RESET. */
    void reset() {
        base = RESET_BASE;
        tsegAddress = 0;
        mask = 0;
        locked = false;
        key = 0;
        nmiWasBlocked = false;
        ioTraps.reset();
        abandon();
    }

    @Override
    public void save(StateWriter out) {
        out.flag("smm", active);
        out.flag("smmByControl", byControl);
        out.flag("smmGuestWaits", guestWaits);
        out.flag("smmNmiWasBlocked", nmiWasBlocked);
        out.u32("smmHeldTraps", heldTraps);
        out.u32("smbase", base);
        out.u64("smmAddress", tsegAddress);
        out.u64("smmMask", mask);
        out.flag("smmLocked", locked);
        out.u64("smmKey", key);
        out.flag("smmPagingLocked", pagingLocked);
        ioTraps.save(out);
        cause.save(out);
    }

    @Override
    public void load(StateReader in) {
        active = in.flag("smm");
        byControl = in.flag("smmByControl");
        guestWaits = in.flag("smmGuestWaits");
        nmiWasBlocked = in.flag("smmNmiWasBlocked");
        heldTraps = in.u32("smmHeldTraps");
        base = in.u32("smbase");
        tsegAddress = in.u64("smmAddress");
        mask = in.u64("smmMask");
        locked = in.flag("smmLocked");
        key = in.u64("smmKey");
        pagingLocked = in.flag("smmPagingLocked");
        ioTraps.load(in);
        cause.load(in);
        protectRanges();
    }
}
