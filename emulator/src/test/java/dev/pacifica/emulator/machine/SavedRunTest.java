package dev.pacifica.emulator.machine;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.emulator.boot.BootFile;
import dev.pacifica.emulator.boot.BootRequest;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.BinaryStateWriter;
import java.nio.file.Path;
import java.time.Instant;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A hypervisor and its guests, saved at random moments and continued in other machines: nothing may
 * come out differently (I4).
 */
class SavedRunTest {
    private static final Path HYPERVISOR =
            Path.of("..", "guests", "demo-hypervisor", "demo-hypervisor.elf");
    private static final long MEMORY = 64 << 20;
    private static final int MOVES = 60;

    private static Machine machine() {
        Machine machine =
                new Machine(
                        new MachineConfig(MEMORY, 1, "", Instant.EPOCH, 7), (device, value) -> {});
        machine.boot(BootRequest.of(BootFile.open(HYPERVISOR), ""));
        return machine;
    }

    private static byte[] state(Machine machine) {
        BinaryStateWriter out = new BinaryStateWriter();
        machine.save(out);
        return out.toByteArray();
    }

    private static byte[] page(Machine machine, int number) {
        byte[] content = new byte[4096];
        RawMemory.get(machine.memory().hostOfPage(number), content, 0, content.length);
        return content;
    }

    /** Another machine in the state of this one, with no translation cached and no code decoded. */
    private static Machine moved(Machine from) {
        Machine to = machine();
        for (int i = 0; i < from.memory().pageCount(); i++) {
            if (from.memory().everWritten(i)) {
                to.memory().loadPage(i, page(from, i));
            }
        }
        byte[] saved = state(from);
        to.load(new BinaryStateReader(saved));
        assertThat(state(to)).isEqualTo(saved);
        from.close();
        return to;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2})
    void continuedElsewhereAgainAndAgain(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        Machine moving = machine();
        int inGuests = 0;
        try (Machine whole = machine()) {
            Stop stop = whole.run(Long.MAX_VALUE);
            long length = whole.clock().retired;
            for (int i = 0; i < MOVES && moving.stopped() == null; i++) {
                boolean near = random.nextInt(3) == 0;
                moving.run(
                        moving.clock().retired
                                + 1
                                + random.nextLong(near ? 50 : 2 * length / MOVES));
                if (moving.stopped() == null) {
                    inGuests += moving.cpu(0).guestMode ? 1 : 0;
                    moving = moved(moving);
                }
            }
            assertThat(moving.run(Long.MAX_VALUE)).isEqualTo(stop);
            assertThat(inGuests).as("moves out of the midst of a guest").isGreaterThan(4);
            assertThat(state(moving)).isEqualTo(state(whole));
            for (int i = 0; i < whole.memory().pageCount(); i++) {
                assertThat(page(moving, i)).as("page %d", i).isEqualTo(page(whole, i));
            }
        } finally {
            moving.close();
        }
    }
}
