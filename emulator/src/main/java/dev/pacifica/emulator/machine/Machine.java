package dev.pacifica.emulator.machine;

import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.boot.KernelLoader;
import dev.pacifica.emulator.check.HypervisorCheck;
import dev.pacifica.emulator.cpu.Cpu;
import dev.pacifica.emulator.cpu.CpuModel;
import dev.pacifica.emulator.cpu.Reset;
import dev.pacifica.emulator.decode.Decoder;
import dev.pacifica.emulator.device.PcDevices;
import dev.pacifica.emulator.device.SerialSink;
import dev.pacifica.emulator.device.StopRequest;
import dev.pacifica.emulator.execute.CodeCache;
import dev.pacifica.emulator.execute.Interpreter;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.PortBus;
import dev.pacifica.emulator.observe.MachineObserver;
import dev.pacifica.emulator.observe.PairedObserver;
import dev.pacifica.emulator.state.StateReader;
import dev.pacifica.emulator.state.StateWriter;
import dev.pacifica.emulator.state.Stateful;
import dev.pacifica.emulator.time.VirtualClock;
import java.util.ArrayList;
import java.util.List;

/**
 * A whole PC. A pure function of its configuration, the images loaded into it and what its {@link
 * InputSource} delivers: the same three give the same run, to the bit.
 */
public final class Machine implements Stateful, AutoCloseable {
    /**
     * The longest stretch, in instructions, between two looks at requests from outside (a pause,
     * live input).
     */
    private static final long SLICE = 1 << 20;

    /**
     * Idle jumps in a row after which a requested pause is heard even though no instruction comes:
     * nothing seems to wake the machine.
     */
    private static final int PATIENCE = 100_000;

    private final MachineConfig config;
    private final SerialSink console;
    private final VirtualClock clock = new VirtualClock();
    private final PhysicalMemory memory;
    private final List<Cpu> cpus = new ArrayList<>();
    private final List<Interpreter> interpreters = new ArrayList<>();
    private final PcDevices devices;
    private final Scheduler scheduler;
    private InputSource inputs = InputSource.NONE;
    private MachineObserver observer;

    /** Looks for the hypervisor's mistakes; null if nobody asked for that. */
    private HypervisorCheck check;

    private Stop stop;
    private volatile boolean pauseRequested;

    /** The tick at which inputs were last looked for; of several processors' machine only. */
    private long polledTick = -1;

    /** Powers a machine on, with empty memory. */
    public Machine(MachineConfig config, SerialSink console) {
        this.config = config;
        this.console = console;
        memory = new PhysicalMemory(config.memoryBytes());
        PortBus ports = new PortBus();
        CpuModel model = CpuModel.parse(config.cpu());
        CodeCache code = new CodeCache(memory, new Decoder(model.decoderFeatures()));
        for (int id = 0; id < config.cpus(); id++) {
            Cpu cpu = new Cpu(id, clock, memory, ports);
            cpu.model = model;
            if (config.vmcbCache()) {
                cpu.svm.cacheVmcbs();
            }
            cpus.add(cpu);
            interpreters.add(new Interpreter(cpu, code));
        }
        devices =
                new PcDevices(
                        clock,
                        memory,
                        ports,
                        cpus,
                        config.rtcBase(),
                        this::serialOutput,
                        this::end);
        List<Cpu> all = List.copyOf(cpus);
        for (Cpu cpu : all) {
            cpu.all = all;
            Reset.powerOn(cpu);
            cpu.random.seed(config.seed() + cpu.id);
            cpu.msrs.asFirmwareLeavesThem();
            if (cpu.id != 0) {
                cpu.activity = Cpu.WAIT_FOR_SIPI;
                cpu.svm.followVmcbsWith(all.getFirst().svm);
            }
        }
        scheduler = new Scheduler(clock, all, interpreters, config.quantum());
    }

    public MachineConfig config() {
        return config;
    }

    public VirtualClock clock() {
        return clock;
    }

    public PhysicalMemory memory() {
        return memory;
    }

    public PcDevices devices() {
        return devices;
    }

    /**
     * Loads a kernel and readies the boot processor to start it; for a machine that has not run
     * yet.
     */
    public KernelLoader.Loaded boot(BootRequest request) {
        return KernelLoader.load(request, memory, cpus.getFirst(), devices);
    }

    /** The processor, from 0. */
    public Cpu cpu(int vcpu) {
        return cpus.get(vcpu);
    }

    /** Instructions that one processor has retired. */
    public long retired(int vcpu) {
        return scheduler.retired(cpus.get(vcpu));
    }

    /** Number of processors. */
    public int vcpus() {
        return cpus.size();
    }

    /** Who sees the machine from now on; null for nobody. */
    public void observe(MachineObserver observer) {
        this.observer = PairedObserver.of(observer, check);
        if (check != null) {
            check.tell(observer);
        }
        for (Cpu cpu : cpus) {
            cpu.observer = this.observer;
        }
    }

    /**
     * Looks for the hypervisor's mistakes from now on, whoever observes besides; to be called
     * before {@link #observe}. The run stays the same to the bit.
     */
    public HypervisorCheck check() {
        check = new HypervisorCheck(cpus);
        observe(null);
        return check;
    }

    /** Where everything from outside comes from, from now on. */
    public void setInputs(InputSource inputs) {
        this.inputs = inputs;
    }

    /**
     * Makes {@link #run} return soon, or the next one at once, from any thread. Where exactly does
     * not matter to the run itself; the machine then is as {@link #run} with that instruction count
     * leaves it.
     */
    public void requestPause() {
        pauseRequested = true;
    }

    /** Why the machine ended, or null while it has not. */
    public Stop stopped() {
        return stop;
    }

    /**
     * Runs until exactly {@code untilRetired} instructions are retired, the machine ends, or a
     * pause was requested.
     *
     * @return why the machine ended, or null
     */
    public Stop run(long untilRetired) {
        int jumps = 0;
        polledTick = -1;
        while (stop == null) {
            clock.fireDue();
            deliverInputs();
            // After an idle jump the count alone would not name the moment: first the next
            // instruction.
            boolean pauses = pauseRequested && (jumps == 0 || jumps > PATIENCE);
            if (stop != null || pauses || clock.retired >= untilRetired) {
                break;
            }
            long nextInput = inputs.nextPoll(clock.now());
            long end =
                    Math.clamp(
                            clock.retiredAt(nextInput),
                            clock.retired + 1,
                            Math.min(untilRetired, clock.retired + SLICE));
            Scheduler.Step step = scheduler.step(end, nextInput);
            jumps = step == Scheduler.Step.RAN ? 0 : jumps + 1;
            if (scheduler.current().activity == Cpu.SHUTDOWN) {
                end(StopRequest.TRIPLE_FAULT, 0);
            }
            if (step == Scheduler.Step.IDLE && stop == null) {
                skipIdleTime();
            }
        }
        pauseRequested = false;
        return stop;
    }

    /**
     * Inputs come at the beginning of a tick and at the first look at it only, so that the tick
     * tells where among the instructions that share it.
     */
    private void deliverInputs() {
        long now = clock.now();
        if (cpus.size() > 1) {
            if (now == polledTick || !clock.atTickStart()) {
                return;
            }
            polledTick = now;
        }
        for (InputSource.Input input = inputs.poll(now); input != null; input = inputs.poll(now)) {
            if (observer != null) {
                observer.input(input.kind(), input.device(), input.data());
            }
            if (input.kind() == InputSource.SERIAL_RECEIVE) {
                devices.serialPort(input.device()).receive(input.data());
            }
        }
    }

    private void serialOutput(int device, int value) {
        if (observer != null) {
            observer.serialOutput(device, value);
        }
        console.write(device, value);
    }

    /**
     * No processor runs: time jumps to whatever comes next, or the machine waits for input, or it
     * is dead.
     */
    private void skipIdleTime() {
        long now = clock.now();
        long next = Math.min(clock.earliestDeadline(), inputs.nextPoll(now));
        if (next != VirtualClock.NEVER) {
            clock.skipTo(next);
        } else if (inputs.await(now)) {
            polledTick = -1;
        } else {
            end(deadHalt(), 0);
        }
    }

    private String deadHalt() {
        for (Cpu cpu : cpus) {
            if (cpu.activity == Cpu.SHUTDOWN) {
                return StopRequest.TRIPLE_FAULT;
            }
        }
        return "halted";
    }

    private void end(String reason, int status) {
        if (stop == null) {
            stop =
                    switch (reason) {
                        case StopRequest.POWER_OFF ->
                                new Stop(
                                        Stop.Reason.POWER_OFF,
                                        status,
                                        "the guest switched the power off");
                        case StopRequest.DEBUG_EXIT ->
                                new Stop(
                                        Stop.Reason.DEBUG_EXIT,
                                        status,
                                        "the guest left through the debug-exit port");
                        case StopRequest.RESET ->
                                new Stop(
                                        Stop.Reason.RESET,
                                        Stop.RESET,
                                        "the guest reset the machine");
                        case StopRequest.TRIPLE_FAULT ->
                                new Stop(
                                        Stop.Reason.TRIPLE_FAULT,
                                        Stop.RESET,
                                        "a triple fault reset the machine");
                        default ->
                                new Stop(
                                        Stop.Reason.DEAD_HALT,
                                        Stop.HALTED,
                                        "halted with nothing that could wake it");
                    };
            for (Cpu cpu : cpus) {
                cpu.attention |= Cpu.ATTENTION_STOP;
            }
            if (observer != null) {
                observer.stopped(stop.detail(), stop.status());
            }
        }
    }

    /** Saves everything but the contents of RAM. */
    @Override
    public void save(StateWriter out) {
        clock.save(out);
        if (cpus.size() > 1) {
            scheduler.save(out);
        }
        for (Cpu cpu : cpus) {
            cpu.save(out);
            cpu.svm.save(out);
            cpu.mmu.save(out);
        }
        devices.save(out);
    }

    /** Loads what {@link #save} wrote; the contents of RAM are loaded by the caller, before. */
    @Override
    public void load(StateReader in) {
        clock.load(in);
        if (cpus.size() > 1) {
            scheduler.load(in);
        }
        for (Cpu cpu : cpus) {
            cpu.load(in);
            cpu.svm.load(in);
            cpu.mmu.load(in);
        }
        devices.load(in);
        stop = null;
    }

    @Override
    public void close() {
        memory.close();
    }
}
