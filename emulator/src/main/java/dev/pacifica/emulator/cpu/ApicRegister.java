package dev.pacifica.emulator.cpu;

/**
 * The local APIC's registers (Table 16-2) by number: the xAPIC offset divided by 16, which also is
 * the x2APIC MSR minus 800h (Table 16-6). The physical APIC and AVIC go by the same numbers.
 */
public final class ApicRegister {
    public static final int ID = 0x02;
    public static final int VERSION = 0x03;
    public static final int TASK_PRIORITY = 0x08;
    public static final int ARBITRATION_PRIORITY = 0x09;
    public static final int PROCESSOR_PRIORITY = 0x0a;
    public static final int END_OF_INTERRUPT = 0x0b;
    public static final int REMOTE_READ = 0x0c;
    public static final int LOGICAL_DESTINATION = 0x0d;
    public static final int DESTINATION_FORMAT = 0x0e;
    public static final int SPURIOUS = 0x0f;

    /** First of eight, as trigger modes and requests are. */
    public static final int IN_SERVICE = 0x10;

    public static final int TRIGGER_MODE = 0x18;
    public static final int REQUEST = 0x20;
    public static final int ERROR_STATUS = 0x28;
    public static final int COMMAND_LOW = 0x30;
    public static final int COMMAND_HIGH = 0x31;

    /** First of six: timer, thermal sensor, performance counters, LINT0, LINT1, error. */
    public static final int LVT_TIMER = 0x32;

    public static final int LVT_ERROR = 0x37;
    public static final int INITIAL_COUNT = 0x38;
    public static final int CURRENT_COUNT = 0x39;
    public static final int DIVIDE = 0x3e;

    /** Of x2APIC only. */
    public static final int SELF_IPI = 0x3f;

    public static final int EXTENDED_FEATURE = 0x40;
    public static final int EXTENDED_CONTROL = 0x41;
    public static final int SPECIFIC_END_OF_INTERRUPT = 0x42;

    /** First of eight. */
    public static final int INTERRUPT_ENABLE = 0x48;

    /** First of four. */
    public static final int EXTENDED_LVT = 0x50;

    public static final int LAST = 0x53;

    private ApicRegister() {}
}
