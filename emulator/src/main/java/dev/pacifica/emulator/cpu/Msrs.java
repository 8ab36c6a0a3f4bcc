package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.observe.TlbFlushCause;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;

/**
 * The model-specific registers of one processor (APM Vol 2 appendix A). What has no effect on this
 * machine but that software for family 19h reads or writes is stored; everything else is unknown
 * and raises #GP.
 */
public final class Msrs implements Stateful {
    private static final int TSC = 0x10;
    private static final int APIC_BASE = 0x1b;
    private static final int TSC_ADJUST = 0x3b;
    private static final int PATCH_LEVEL = 0x8b;
    private static final int SPEC_CTRL = 0x48;
    private static final int PRED_CMD = 0x49;
    private static final int MPERF = 0xe7;
    private static final int APERF = 0xe8;
    private static final int MPERF_READ_ONLY = 0xc000_00e7;
    private static final int APERF_READ_ONLY = 0xc000_00e8;
    private static final int MTRR_CAP = 0xfe;
    private static final int SYSENTER_CS = 0x174;
    private static final int SYSENTER_ESP = 0x175;
    private static final int SYSENTER_EIP = 0x176;
    private static final int MCG_CAP = 0x179;
    private static final int MCG_STATUS = 0x17a;
    private static final int MCG_CTL = 0x17b;
    private static final int DEBUG_CTL = 0x1d9;
    private static final int LAST_BRANCH_FROM = 0x1db;
    private static final int LAST_EXCEPTION_TO = 0x1de;
    private static final int PAT = 0x277;
    private static final int MC_BANKS = 0x400;
    private static final int TSC_DEADLINE = 0x6e0;
    private static final int X2APIC = 0x800;
    private static final int XSS = 0xda0;
    static final int EFER = 0xc000_0080;
    private static final int STAR = 0xc000_0081;
    private static final int LSTAR = 0xc000_0082;
    private static final int CSTAR = 0xc000_0083;
    private static final int SFMASK = 0xc000_0084;
    private static final int FS_BASE = 0xc000_0100;
    private static final int GS_BASE = 0xc000_0101;
    private static final int KERNEL_GS_BASE = 0xc000_0102;
    private static final int TSC_AUX = 0xc000_0103;
    private static final int TSC_RATIO = 0xc000_0104;
    private static final int PERFORMANCE = 0xc001_0000;
    private static final int SYSCFG = 0xc001_0010;
    private static final int HWCR = 0xc001_0015;
    private static final int IORR = 0xc001_0016;
    private static final int TOP_MEM = 0xc001_001a;
    private static final int TOP_MEM2 = 0xc001_001d;
    private static final int NB_CFG = 0xc001_001f;
    private static final int NAME = 0xc001_0030;
    private static final int INT_PENDING = 0xc001_0055;
    private static final int MMIO_CONF_BASE = 0xc001_0058;
    private static final int VM_CR = 0xc001_0114;
    private static final int IGNNE = 0xc001_0115;
    private static final int VM_HSAVE_PA = 0xc001_0117;
    private static final int SVM_KEY = 0xc001_0118;

    /** Write-only (§15.29.8.2). */
    private static final int AVIC_DOORBELL = 0xc001_011b;

    private static final int LS_CFG = 0xc001_1020;
    private static final int DE_CFG = 0xc001_1029;

    /** Microcode level of a family 19h model 1 stepping 1. */
    private static final long MICROCODE = 0x0a00_11d1L;

    private static final int BANKS = 6;

    /** MCG_CAP: six banks, MCG_CTL present. */
    private static final long MCG_CAPABILITIES = 0x100 | BANKS;

    private static final int SYSCFG_TOM2 = 1 << 21 | 1 << 22;
    private static final int SYSCFG_MTRR_DRAM = 1 << 18 | 1 << 20;

    /** HWCR.McStatusWrEn: MCi_STATUS may be written with something else than zero. */
    private static final long HWCR_STATUS_WRITABLE = 1 << 18;

    /** HWCR.IgnneEm: the IGNNE MSR takes the place of the signal. */
    private static final long HWCR_IGNNE_EMULATION = 1 << 8;

    /** HWCR reset value of Zen: TscFreqSel, which software checks. */
    private static final long HWCR_RESET = 1 << 24;

    private static final long PAT_RESET = 0x0007_0406_0007_0406L;

    private static final long SPEC_CTRL_IBRS = 1;
    private static final long SPEC_CTRL_STIBP = 1 << 1;
    private static final long SPEC_CTRL_SSBD = 1 << 2;
    private static final long SPEC_CTRL_PSFD = 1 << 7;

    /** DebugCtl.LBR: record the last branch and exception. */
    static final long LAST_BRANCH_RECORD = 1;

    /** DebugCtl.BTF: TF steps over to the next branch. */
    static final long BRANCH_SINGLE_STEP = 2;

    /** DebugCtl bits that must be zero: 6:3, and 2 because there is no bus lock trap. */
    private static final long DEBUG_CTL_MBZ = 0x7c;

    private static final int TSC_RATIO_BITS = 40;

    /** The TSC ratio 1.0, its reset value. */
    private static final long TSC_RATIO_ONE = 1L << 32;

    public long star;
    public long lstar;
    public long cstar;
    public long sfmask;
    public long kernelGsBase;
    public long sysenterCs;
    public long sysenterEsp;
    public long sysenterEip;
    public long pat = PAT_RESET;

    /** VM_CR (C001_0114h). */
    public long vmCr;

    /** VM_HSAVE_PA (C001_0117h). */
    public long vmHsavePa;

    public long tscAux;

    /**
     * SPEC_CTRL (48h) of the world that runs: of the guest's own while it is virtualized
     * (§15.37.1).
     */
    public long specCtrl;

    /** TSC Ratio (C000_0104h): what guests see the TSC scaled by, 8.32 fixed point (§15.30.5). */
    public long tscRatio = TSC_RATIO_ONE;

    public long debugCtl;
    public long lastBranchFrom;
    public long lastBranchTo;
    public long lastExceptionFrom;
    public long lastExceptionTo;

    private final Cpu cpu;
    private final MemoryTypeRegisters memoryTypes = new MemoryTypeRegisters();

    /** MPERF and APERF. */
    final EffectiveFrequency frequency;

    private long mcgStatus;
    private long mcgCtl;

    /** CTL, STATUS, ADDR, MISC of each bank. */
    private final long[] banks = new long[4 * BANKS];

    /** PERF_CTL0..3, PERF_CTR0..3. */
    private final long[] performance = new long[8];

    /** IORR base and mask, two pairs. */
    private final long[] iorr = new long[4];

    private long syscfg;
    private long hwcr = HWCR_RESET;
    private long topMem;
    private long topMem2;
    private long nbCfg;
    private long mmioConfBase;
    private long ignne;

    /**
     * LS_CFG (1020h) to DE_CFG (1029h) and its neighbours to 102Fh: configuration without effect
     * here.
     */
    private final long[] core = new long[16];

    Msrs(Cpu cpu) {
        this.cpu = cpu;
        frequency = new EffectiveFrequency(cpu.clock);
        core[DE_CFG - LS_CFG] = 2; // LFENCE is dispatch serialising
    }

    /** Power-on values of everything (§14.1.3). */
    void reset() {
        star = lstar = cstar = sfmask = kernelGsBase = 0;
        sysenterCs = sysenterEsp = sysenterEip = 0;
        pat = PAT_RESET;
        vmCr = vmHsavePa = tscAux = specCtrl = 0;
        tscRatio = TSC_RATIO_ONE;
        debugCtl = lastBranchFrom = lastBranchTo = lastExceptionFrom = lastExceptionTo = 0;
        memoryTypes.reset();
        frequency.reset();
        mcgStatus = mcgCtl = 0;
        java.util.Arrays.fill(banks, 0);
        java.util.Arrays.fill(performance, 0);
        java.util.Arrays.fill(iorr, 0);
        syscfg = topMem = topMem2 = nbCfg = mmioConfBase = ignne = 0;
        hwcr = HWCR_RESET;
        java.util.Arrays.fill(core, 0);
        core[DE_CFG - LS_CFG] = 2;
    }

    /**
     * Sets what firmware would have set before it starts a loader or kernel: TOP_MEM, TOP_MEM2,
     * MTRRs, SYSCFG.
     */
    public void asFirmwareLeavesThem() {
        topMem = cpu.memory.lowSize() & -0x80_0000L;
        long high = cpu.memory.highSize();
        topMem2 = high == 0 ? 0 : 0x1_0000_0000L + high & -0x80_0000L;
        syscfg = SYSCFG_MTRR_DRAM | (high == 0 ? 0 : SYSCFG_TOM2);
        memoryTypes.asFirmwareLeavesThem(dev.pacifica.emulator.memory.PhysicalMemory.HOLE_START);
        nbCfg = 1L << 46;
    }

    /** DebugCtl from a register or a VMCB; what does not exist reads as zero (§13.1.1.6). */
    public void setDebugControl(long value) {
        debugCtl = value & (LAST_BRANCH_RECORD | BRANCH_SINGLE_STEP);
        cpu.attention |= Cpu.ATTENTION_DEBUG;
    }

    /** The type that MTRRs and SYSCFG give a system-physical address (§7.7). */
    MemoryType rangeType(long pa) {
        boolean forced = (syscfg & SYSCFG_TOM2) == SYSCFG_TOM2 && pa >>> 32 != 0 && pa < topMem2;
        return memoryTypes.type(pa, forced);
    }

    /** A branch was taken, while DebugCtl.LBR or TF makes instructions execute singly. */
    void recordBranch(long from, long to) {
        if ((debugCtl & LAST_BRANCH_RECORD) != 0) {
            lastBranchFrom = from;
            lastBranchTo = to;
        }
    }

    /**
     * An interrupt or exception was taken (§13.1.6.1). #DB and ICEBP have cleared DebugCtl.LBR by
     * then, and so change nothing here.
     */
    void recordException(long from, long to) {
        if ((debugCtl & LAST_BRANCH_RECORD) != 0) {
            lastExceptionFrom = lastBranchFrom;
            lastExceptionTo = lastBranchTo;
            lastBranchFrom = from;
            lastBranchTo = to;
        }
    }

    /**
     * IGNNE (§15.30.2): the value in the MSR while HWCR has its emulation on, otherwise what the
     * chipset drives.
     */
    public boolean numericErrorsIgnored() {
        return (hwcr & HWCR_IGNNE_EMULATION) != 0 ? ignne != 0 : cpu.fpu.errorIgnored();
    }

    /** The bits that SPEC_CTRL has in this model; 0 if there is no such register (§3.2.9). */
    public long speculationBits() {
        return (cpu.model.has(CpuFeature.IBRS) ? SPEC_CTRL_IBRS : 0)
                | (cpu.model.has(CpuFeature.STIBP) ? SPEC_CTRL_STIBP : 0)
                | (cpu.model.has(CpuFeature.SSBD) ? SPEC_CTRL_SSBD : 0)
                | (cpu.model.has(CpuFeature.PSFD) ? SPEC_CTRL_PSFD : 0);
    }

    private GuestException unknown() {
        return cpu.fault(GuestException.GP, 0);
    }

    private void require(boolean good) {
        if (!good) {
            throw unknown();
        }
    }

    /** RDMSR; raises #GP(0) for what does not exist. */
    public long read(int msr) {
        if (MemoryTypeRegisters.owns(msr)) {
            return memoryTypes.read(msr);
        }
        if (msr >= X2APIC && msr < X2APIC + 0x100) {
            return readX2apic(msr - X2APIC);
        }
        if (msr >= MC_BANKS && msr < MC_BANKS + banks.length) {
            return banks[msr - MC_BANKS];
        }
        if ((msr & 0xffff_fff8) == PERFORMANCE) {
            return performance[msr & 7];
        }
        if (msr >= NAME && msr < NAME + 6) {
            return cpu.model.namePart(msr - NAME);
        }
        if ((msr & 0xffff_fff0) == LS_CFG) {
            return core[msr & 15];
        }
        if (SystemManagement.owns(msr)) {
            return cpu.smm.readMsr(msr);
        }
        return switch (msr) {
            case TSC -> cpu.svm.timeStamp();
            case SPEC_CTRL -> {
                require(speculationBits() != 0);
                yield specCtrl;
            }
            case MPERF, APERF -> {
                require(cpu.model.has(CpuFeature.APERFMPERF));
                yield msr == MPERF ? cpu.svm.scaledInGuest(frequency.mperf()) : frequency.aperf();
            }
            case MPERF_READ_ONLY, APERF_READ_ONLY -> {
                require(cpu.model.has(CpuFeature.APERFMPERF_RO));
                yield msr == MPERF_READ_ONLY
                        ? cpu.svm.scaledInGuest(frequency.mperfReadOnly())
                        : frequency.aperfReadOnly();
            }
            case APIC_BASE -> cpu.apic.base();
            case TSC_ADJUST -> {
                require(cpu.model.has(CpuFeature.TSC_ADJUST));
                yield cpu.tscOffset;
            }
            case PATCH_LEVEL -> MICROCODE;
            case MTRR_CAP -> MemoryTypeRegisters.CAPABILITIES;
            case SYSENTER_CS -> sysenterCs;
            case SYSENTER_ESP -> sysenterEsp;
            case SYSENTER_EIP -> sysenterEip;
            case MCG_CAP -> MCG_CAPABILITIES;
            case MCG_STATUS -> mcgStatus;
            case MCG_CTL -> mcgCtl;
            case DEBUG_CTL -> debugCtl;
            case LAST_BRANCH_FROM -> lastBranchFrom;
            case LAST_BRANCH_FROM + 1 -> lastBranchTo;
            case LAST_BRANCH_FROM + 2 -> lastExceptionFrom;
            case LAST_EXCEPTION_TO -> lastExceptionTo;
            case PAT -> pat;
            case TSC_DEADLINE -> {
                require(cpu.model.has(CpuFeature.TSC_DEADLINE));
                yield cpu.apic.tscDeadline();
            }
            case XSS -> {
                require(cpu.model.has(CpuFeature.XSAVES));
                yield 0;
            }
            case EFER -> cpu.efer;
            case STAR -> star;
            case LSTAR -> lstar;
            case CSTAR -> cstar;
            case SFMASK -> sfmask;
            case FS_BASE -> cpu.segBase[Cpu.FS];
            case GS_BASE -> cpu.segBase[Cpu.GS];
            case KERNEL_GS_BASE -> kernelGsBase;
            case TSC_AUX -> {
                require(cpu.model.has(CpuFeature.RDTSCP));
                yield tscAux;
            }
            case TSC_RATIO -> {
                require(cpu.model.has(CpuFeature.TSC_SCALE));
                yield tscRatio;
            }
            case SYSCFG -> syscfg;
            case HWCR -> cpu.smm.hwcr(hwcr);
            case IORR, IORR + 1, IORR + 2, IORR + 3 -> iorr[msr - IORR];
            case TOP_MEM -> topMem;
            case TOP_MEM2 -> topMem2;
            case NB_CFG -> nbCfg;
            case INT_PENDING -> 0;
            case MMIO_CONF_BASE -> mmioConfBase;
            case VM_CR -> {
                require(cpu.model.has(CpuFeature.SVM));
                yield vmCr;
            }
            case IGNNE -> numericErrorsIgnored() ? 1 : 0;
            case VM_HSAVE_PA -> {
                require(cpu.model.has(CpuFeature.SVM));
                yield vmHsavePa;
            }
            case SVM_KEY -> {
                require(cpu.model.has(CpuFeature.SVM_LOCK));
                yield 0; // write-only, reads as zero (§15.31)
            }
            default -> throw unknown();
        };
    }

    private long readX2apic(int register) {
        require(cpu.apic.x2apic());
        long value = cpu.apic.readX2apic(register);
        require(value != LocalInterruptController.BAD_REGISTER);
        return value;
    }

    /** WRMSR; raises #GP(0) for what does not exist or a value it cannot have. */
    public void write(int msr, long value) {
        if (MemoryTypeRegisters.owns(msr)) {
            require(memoryTypes.write(msr, value));
            // §15.16.1: so do IORRs and other MSRs of the address map
            cpu.mmu.flushAll(TlbFlushCause.MSR);
            return;
        }
        if (msr >= X2APIC && msr < X2APIC + 0x100) {
            require(cpu.apic.x2apic() && cpu.apic.writeX2apic(msr - X2APIC, value));
            return;
        }
        if (msr >= MC_BANKS && msr < MC_BANKS + banks.length) {
            boolean status = (msr & 3) == 1;
            require(!status || value == 0 || (hwcr & HWCR_STATUS_WRITABLE) != 0);
            banks[msr - MC_BANKS] = value;
            return;
        }
        if ((msr & 0xffff_fff8) == PERFORMANCE) {
            performance[msr & 7] = (msr & 4) != 0 ? value & 0xffff_ffff_ffffL : value;
            return;
        }
        if (msr >= NAME && msr < NAME + 6) {
            return; // firmware's to set; the name is the model's
        }
        if ((msr & 0xffff_fff0) == LS_CFG) {
            core[msr & 15] = value;
            return;
        }
        if (SystemManagement.owns(msr)) {
            cpu.smm.writeMsr(msr, value);
            return;
        }
        switch (msr) {
            case TSC -> writeTsc(value - cpu.clock.now());
            case APIC_BASE -> {
                require(cpu.apic.setBase(value));
                cpu.attention |= Cpu.ATTENTION_INTERRUPT;
            }
            case TSC_ADJUST -> {
                require(cpu.model.has(CpuFeature.TSC_ADJUST));
                writeTsc(value);
            }
            case SPEC_CTRL -> {
                require(speculationBits() != 0 && (value & ~speculationBits()) == 0);
                specCtrl = value;
            }
            case MPERF -> {
                require(cpu.model.has(CpuFeature.APERFMPERF));
                frequency.setMperf(value);
            }
            case APERF -> {
                require(cpu.model.has(CpuFeature.APERFMPERF));
                frequency.setAperf(value);
            }
            case PRED_CMD -> require(cpu.model.has(CpuFeature.IBPB) && value >>> 1 == 0);
            case SYSENTER_CS -> sysenterCs = value & 0xffff_ffffL;
            case SYSENTER_ESP -> sysenterEsp = canonical(value);
            case SYSENTER_EIP -> sysenterEip = canonical(value);
            case MCG_STATUS -> mcgStatus = value & 7;
            case MCG_CTL -> mcgCtl = value;
            case DEBUG_CTL -> {
                require((value & DEBUG_CTL_MBZ) == 0);
                setDebugControl(value);
            }
            case PAT -> {
                require(MemoryTypeRegisters.validPat(value));
                pat = value;
            }
            case TSC_DEADLINE -> {
                require(cpu.model.has(CpuFeature.TSC_DEADLINE));
                cpu.apic.setTscDeadline(value);
            }
            // no supervisor state to enable
            case XSS -> require(cpu.model.has(CpuFeature.XSAVES) && value == 0);
            case EFER -> writeEfer(value);
            case STAR -> star = value;
            case LSTAR -> lstar = canonical(value);
            case CSTAR -> cstar = canonical(value);
            case SFMASK -> sfmask = value & 0xffff_ffffL;
            case FS_BASE -> setBase(Cpu.FS, value);
            case GS_BASE -> setBase(Cpu.GS, value);
            case KERNEL_GS_BASE -> kernelGsBase = canonical(value);
            case TSC_AUX -> {
                require(cpu.model.has(CpuFeature.RDTSCP) && value >>> 32 == 0);
                tscAux = value;
            }
            case TSC_RATIO -> {
                require(cpu.model.has(CpuFeature.TSC_SCALE) && value >>> TSC_RATIO_BITS == 0);
                tscRatio = value;
            }
            case SYSCFG -> {
                syscfg = value;
                cpu.mmu.flushAll(TlbFlushCause.MSR);
            }
            case HWCR -> hwcr = cpu.smm.writeHwcr(hwcr, value);
            case IORR, IORR + 1, IORR + 2, IORR + 3 -> {
                iorr[msr - IORR] = value;
                cpu.mmu.flushAll(TlbFlushCause.MSR);
            }
            case TOP_MEM -> {
                topMem = value & 0xffff_ff80_0000L;
                cpu.mmu.flushAll(TlbFlushCause.MSR);
            }
            case TOP_MEM2 -> {
                topMem2 = value & 0xffff_ff80_0000L;
                cpu.mmu.flushAll(TlbFlushCause.MSR);
            }
            case NB_CFG -> nbCfg = value;
            case MMIO_CONF_BASE -> mmioConfBase = value;
            case VM_CR -> require(cpu.model.has(CpuFeature.SVM) && cpu.svm.lock.writeVmCr(value));
            case IGNNE -> {
                require(value >>> 1 == 0);
                ignne = value;
            }
            case INT_PENDING -> {} // no interrupt messages here
            case VM_HSAVE_PA ->
                    require(cpu.model.has(CpuFeature.SVM) && cpu.svm.lock.writeHostSaveArea(value));
            case SVM_KEY -> {
                require(cpu.model.has(CpuFeature.SVM_LOCK));
                cpu.svm.lock.writeKey(value);
            }
            case AVIC_DOORBELL -> {
                require(cpu.model.has(CpuFeature.AVIC) && value >>> 8 == 0);
                cpu.svm.ringDoorbell((int) value);
            }
            default -> throw unknown();
        }
    }

    private long canonical(long value) {
        require(Cpu.canonical(value));
        return value;
    }

    private void setBase(int segment, long value) {
        cpu.segBase[segment] = canonical(value);
        cpu.attention |= Cpu.ATTENTION_CONTEXT;
    }

    private void writeTsc(long offset) {
        cpu.tscOffset = offset;
        if (cpu.apic != null) {
            cpu.apic.tscChanged();
        }
    }

    /**
     * §3.1.7: LMA is read-only, LME cannot change while paging, SVME cannot be set while
     * VM_CR.SVMDIS is.
     */
    private void writeEfer(long value) {
        cpu.smm.checkPagingUnlocked();
        long allowed = cpu.model.eferMask() | Cpu.EFER_LMA;
        if (cpu.svm.lock.svmDisabled()) {
            allowed &= ~Cpu.EFER_SVME;
        }
        long changed = value ^ cpu.efer;
        boolean paging = (cpu.cr0 & Cpu.CR0_PG) != 0;
        require((value & ~allowed) == 0 && !(paging && (changed & Cpu.EFER_LME) != 0));
        cpu.efer = value & ~Cpu.EFER_LMA | cpu.efer & Cpu.EFER_LMA;
        if ((changed & Cpu.EFER_NXE) != 0) {
            cpu.mmu.flush(true);
        }
        cpu.updateMode();
    }

    @Override
    public void save(StateWriter out) {
        out.u64("star", star);
        out.u64("lstar", lstar);
        out.u64("cstar", cstar);
        out.u64("sfmask", sfmask);
        out.u64("kernelGsBase", kernelGsBase);
        out.u64("sysenterCs", sysenterCs);
        out.u64("sysenterEsp", sysenterEsp);
        out.u64("sysenterEip", sysenterEip);
        out.u64("pat", pat);
        out.u64("vmCr", vmCr);
        out.u64("vmHsavePa", vmHsavePa);
        out.u64("tscAux", tscAux);
        out.u64("tscRatio", tscRatio);
        out.u64("specCtrl", specCtrl);
        out.u64("debugCtl", debugCtl);
        out.u64("lastBranchFrom", lastBranchFrom);
        out.u64("lastBranchTo", lastBranchTo);
        out.u64("lastExceptionFrom", lastExceptionFrom);
        out.u64("lastExceptionTo", lastExceptionTo);
        memoryTypes.save(out);
        frequency.save(out);
        out.u64("mcgStatus", mcgStatus);
        out.u64("mcgCtl", mcgCtl);
        out.longs("mcBanks", banks);
        out.longs("performance", performance);
        out.longs("iorr", iorr);
        out.u64("syscfg", syscfg);
        out.u64("hwcr", hwcr);
        out.u64("topMem", topMem);
        out.u64("topMem2", topMem2);
        out.u64("nbCfg", nbCfg);
        out.u64("mmioConfBase", mmioConfBase);
        out.u64("ignne", ignne);
        out.longs("coreConfiguration", core);
    }

    @Override
    public void load(StateReader in) {
        star = in.u64("star");
        lstar = in.u64("lstar");
        cstar = in.u64("cstar");
        sfmask = in.u64("sfmask");
        kernelGsBase = in.u64("kernelGsBase");
        sysenterCs = in.u64("sysenterCs");
        sysenterEsp = in.u64("sysenterEsp");
        sysenterEip = in.u64("sysenterEip");
        pat = in.u64("pat");
        vmCr = in.u64("vmCr");
        vmHsavePa = in.u64("vmHsavePa");
        tscAux = in.u64("tscAux");
        tscRatio = in.u64("tscRatio");
        specCtrl = in.u64("specCtrl");
        debugCtl = in.u64("debugCtl");
        lastBranchFrom = in.u64("lastBranchFrom");
        lastBranchTo = in.u64("lastBranchTo");
        lastExceptionFrom = in.u64("lastExceptionFrom");
        lastExceptionTo = in.u64("lastExceptionTo");
        memoryTypes.load(in);
        frequency.load(in);
        mcgStatus = in.u64("mcgStatus");
        mcgCtl = in.u64("mcgCtl");
        in.longs("mcBanks", banks);
        in.longs("performance", performance);
        in.longs("iorr", iorr);
        syscfg = in.u64("syscfg");
        hwcr = in.u64("hwcr");
        topMem = in.u64("topMem");
        topMem2 = in.u64("topMem2");
        nbCfg = in.u64("nbCfg");
        mmioConfBase = in.u64("mmioConfBase");
        ignne = in.u64("ignne");
        in.longs("coreConfiguration", core);
    }
}
