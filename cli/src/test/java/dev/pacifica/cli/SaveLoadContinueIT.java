package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.boot.BootFile;
import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.machine.InputSource;
import dev.pacifica.emulator.machine.Machine;
import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import dev.pacifica.emulator.state.StateDump;
import dev.pacifica.recorder.EventLog;
import dev.pacifica.recorder.TraceReader;
import dev.pacifica.schemas.EventReader;
import dev.pacifica.schemas.Events;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/**
 * A machine that is saved at a random moment and loaded into another one saves itself to the same
 * bytes again, and both go on the same: all state, all RAM, all output, at each later look. Half of
 * the moments are within a guest of the hypervisor.
 */
class SaveLoadContinueIT {
    private static final long SEED = Long.getLong("pacifica.seed", 4);

    /** A machine with what it prints. */
    private record Running(Machine machine, ByteArrayOutputStream console)
            implements AutoCloseable {
        static Running of(MachineSetup setup, BootRequest request) {
            ByteArrayOutputStream console = new ByteArrayOutputStream();
            return new Running(
                    setup.build(request, (_, value) -> console.write(value), InputSource.NONE),
                    console);
        }

        byte[] save() {
            BinaryStateWriter state = new BinaryStateWriter();
            machine.save(state);
            return state.toByteArray();
        }

        @Override
        public void close() {
            machine.close();
        }
    }

    /** Loads what {@code from} is into a machine that was just switched on. */
    private static Running reloaded(Running from, Supplier<Running> fresh) {
        Running to = fresh.get();
        PhysicalMemory source = from.machine.memory();
        byte[] page = new byte[PhysicalMemory.PAGE_SIZE];
        for (int i = 0; i < source.pageCount(); i++) {
            if (source.everWritten(i)) {
                source.read((long) i * page.length, page, 0, page.length);
                to.machine.memory().loadPage(i, page);
            } else {
                assertThat(to.machine.memory().everWritten(i)).isFalse();
            }
        }
        byte[] state = from.save();
        to.machine.load(new BinaryStateReader(state));
        assertThat(to.save())
                .as("save, load, save at %,d", from.machine.clock().retired)
                .isEqualTo(state);
        from.console.reset();
        to.console.reset();
        return to;
    }

    private static void runBothTo(long insnCount, Running one, Running other, String what) {
        assertThat(other.machine.run(insnCount))
                .as("stop of %s", what)
                .isEqualTo(one.machine.run(insnCount));
        assertSame(one, other, what + ", continued to " + one.machine.clock().retired);
    }

    private static void assertSame(Running one, Running other, String what) {
        assertThat(other.machine.clock().retired).as(what).isEqualTo(one.machine.clock().retired);
        if (!Arrays.equals(one.save(), other.save())) {
            StateDump expected = new StateDump();
            StateDump found = new StateDump();
            one.machine.save(expected);
            other.machine.save(found);
            assertThat(found.fields()).as(what).isEqualTo(expected.fields());
        }
        byte[] expected = new byte[PhysicalMemory.PAGE_SIZE];
        byte[] found = new byte[PhysicalMemory.PAGE_SIZE];
        for (int i = 0; i < one.machine.memory().pageCount(); i++) {
            if (one.machine.memory().everWritten(i) || other.machine.memory().everWritten(i)) {
                one.machine.memory().read((long) i * expected.length, expected, 0, expected.length);
                other.machine.memory().read((long) i * found.length, found, 0, found.length);
                if (!Arrays.equals(expected, found)) {
                    assertThat(found).as("%s: RAM page 0x%x", what, i).isEqualTo(expected);
                }
            }
        }
        assertThat(other.console.toString(StandardCharsets.ISO_8859_1))
                .as("%s: output", what)
                .isEqualTo(one.console.toString(StandardCharsets.ISO_8859_1));
    }

    /** Moments in guests, one in each of {@code count} exits picked at random. */
    private static List<Long> momentsInGuests(
            TraceReader trace, int count, SplittableRandom random) {
        List<long[]> stays = new ArrayList<>();
        try (EventLog log = trace.events()) {
            for (EventReader event = log.next(); event != null; event = log.next()) {
                if (event.kind().equals(Events.Vmexit.KIND)
                        && event.get(Events.Vmexit.GUEST_INSTRUCTIONS) > 1) {
                    stays.add(
                            new long[] {
                                event.insnCount(), event.get(Events.Vmexit.GUEST_INSTRUCTIONS)
                            });
                }
            }
        }
        List<Long> moments = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            long[] stay = stays.get(random.nextInt(stays.size()));
            moments.add(stay[0] - random.nextLong(1, stay[1]));
        }
        return moments;
    }

    @Test
    void theDemoGoesOnTheSameFromAnywhere() {
        MachineSetup setup =
                new MachineSetup(
                        64 << 20,
                        1,
                        null,
                        false,
                        "epyc-milan",
                        "2026-01-01T00:00:00Z",
                        1,
                        "",
                        null,
                        List.of());
        Path image = Ladder.root().resolve("guests/demo-hypervisor/demo-hypervisor.elf");
        BootRequest request =
                new BootRequest(BootFile.open(image), List.of(), "", OptionalLong.empty());
        Supplier<Running> fresh = () -> Running.of(setup, request);
        long total;
        try (Running whole = fresh.get()) {
            assertThat(whole.machine.run(1_000_000_000).status()).isEqualTo(0x10 << 1 | 1);
            total = whole.machine.clock().retired;
        }
        SplittableRandom random = new SplittableRandom(SEED);
        int inGuest = 0;
        int moments = 40;
        for (int i = 0; i < moments; i++) {
            try (Running one = fresh.get()) {
                long moment = random.nextLong(total);
                one.machine.run(moment);
                // Every other one goes on to the next moment in a guest.
                for (int steps = 0;
                        i % 2 == 1 && !one.machine.cpu(0).guestMode && steps < 20_000;
                        steps++) {
                    one.machine.run(++moment % total);
                }
                inGuest += one.machine.cpu(0).guestMode ? 1 : 0;
                try (Running other = reloaded(one, fresh)) {
                    for (long next :
                            new long[] {
                                moment + 1,
                                moment + 2,
                                moment + 17,
                                moment + 1000,
                                moment + 50_000,
                                total + 1
                            }) {
                        runBothTo(next, one, other, "the demo, loaded at " + moment);
                    }
                    assertThat(other.machine.stopped()).isNotNull();
                }
            }
        }
        assertThat(inGuest).as("moments in the guest").isGreaterThan(moments / 4);
        Ladder.say(
                "demo: saved, loaded and continued at %d moments, %d of them in its guest",
                moments, inGuest);
    }

    @Test
    void linuxWithKvmGoesOnTheSameFromAnywhere() {
        TraceReader trace = TraceReader.open(Ladder.KVM_NESTED_PAGING.recorded().trace());
        long total = trace.manifest().end().insnCount();
        MachineSetup setup = MachineSetup.of(trace);
        BootRequest request = setup.request(trace);
        Supplier<Running> fresh = () -> Running.of(setup, request);
        SplittableRandom random = new SplittableRandom(SEED);
        TreeSet<Long> moments = new TreeSet<>(momentsInGuests(trace, 4, random));
        for (int i = 0; i < 4; i++) {
            moments.add(random.nextLong(total));
        }
        List<Long> stations = new ArrayList<>(moments);
        stations.add(total + 1);
        int inGuest = 0;
        try (Running one = fresh.get()) {
            for (int i = 0; i + 1 < stations.size(); i++) {
                long moment = stations.get(i);
                one.machine.run(moment);
                inGuest += one.machine.cpu(0).guestMode ? 1 : 0;
                try (Running other = reloaded(one, fresh)) {
                    long next = stations.get(i + 1);
                    for (long step : new long[] {1, 1000, 1_000_000, next - moment}) {
                        if (moment + step <= next) {
                            runBothTo(
                                    moment + step,
                                    one,
                                    other,
                                    "Linux with KVM, loaded at " + moment);
                        }
                    }
                }
                Ladder.say(
                        "save, load, continue at instruction %,d: the same at %,d",
                        moment, one.machine.clock().retired);
            }
            assertThat(one.machine.stopped()).isNotNull();
            assertThat(one.machine.clock().retired)
                    .as("the run that was recorded")
                    .isEqualTo(total);
        }
        assertThat(inGuest).as("moments in a guest").isEqualTo(4);
    }
}
