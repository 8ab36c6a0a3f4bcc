package dev.pacifica.recorder;

import dev.pacifica.emulator.memory.PhysicalMemory;
import dev.pacifica.emulator.memory.RawMemory;
import dev.pacifica.emulator.state.BinaryStateReader;
import dev.pacifica.emulator.state.StateFormatException;
import dev.pacifica.recorder.CheckpointFile.Page;
import dev.pacifica.recorder.CheckpointFile.PageHash;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The checkpoints of a trace: writes new ones, loads old ones. */
public final class CheckpointStore {
    private static final byte[] ZERO_PAGE = new byte[CheckpointFile.PAGE_SIZE];

    private CheckpointStore() {}

    static String fileName(int checkpoint) {
        return "checkpoints/%06d.checkpoint".formatted(checkpoint);
    }

    /**
     * The written RAM pages of a machine at one moment, copied so that the machine can go on. They
     * lie together in few arrays, which the garbage collector copies less than many.
     */
    static final class Snapshot {
        private static final int PAGES_PER_ARRAY = 256;

        private final int[] numbers;
        private final byte[][] arrays;

        private Snapshot(PhysicalMemory memory, int[] numbers) {
            this.numbers = numbers;
            arrays = new byte[(numbers.length + PAGES_PER_ARRAY - 1) / PAGES_PER_ARRAY][];
            for (int i = 0; i < numbers.length; i++) {
                if (i % PAGES_PER_ARRAY == 0) {
                    int pages = Math.min(PAGES_PER_ARRAY, numbers.length - i);
                    arrays[i / PAGES_PER_ARRAY] = new byte[pages * CheckpointFile.PAGE_SIZE];
                }
                RawMemory.get(
                        memory.hostOfPage(numbers[i]),
                        array(i),
                        offset(i),
                        CheckpointFile.PAGE_SIZE);
            }
        }

        int count() {
            return numbers.length;
        }

        private byte[] array(int index) {
            return arrays[index / PAGES_PER_ARRAY];
        }

        private static int offset(int index) {
            return index % PAGES_PER_ARRAY * CheckpointFile.PAGE_SIZE;
        }

        private boolean isZero(int index) {
            int from = offset(index);
            return Arrays.equals(
                    array(index),
                    from,
                    from + CheckpointFile.PAGE_SIZE,
                    ZERO_PAGE,
                    0,
                    CheckpointFile.PAGE_SIZE);
        }

        private PageHash hash(int index, MessageDigest sha256) {
            return PageHash.of(array(index), offset(index), sha256);
        }

        /** Copies the contents of the page with the given index. */
        private void copy(int index, byte[] into, int at) {
            System.arraycopy(array(index), offset(index), into, at, CheckpointFile.PAGE_SIZE);
        }
    }

    /** Copies all pages that were written since the last call and marks them clean. */
    static Snapshot takeDirtyPages(PhysicalMemory memory) {
        int[] numbers = new int[memory.pageCount()];
        int count = 0;
        for (int page = 0; page < numbers.length; page++) {
            if (memory.dirty(page)) {
                numbers[count++] = page;
            }
        }
        Snapshot snapshot = new Snapshot(memory, Arrays.copyOf(numbers, count));
        memory.cleanAll();
        return snapshot;
    }

    /**
     * Writes checkpoints one after the other and remembers which page contents the trace already
     * has.
     */
    static final class Writer {
        private record Place(int checkpoint, int index) {}

        private final Path trace;
        private final Map<PageHash, Place> known = new HashMap<>();
        private final MessageDigest sha256 = CheckpointFile.sha256();

        Writer(Path trace) {
            this.trace = trace;
        }

        /** What became of a checkpoint. */
        record Written(String file, int pages, int newPages, long bytes) {}

        Written write(int checkpoint, byte[] machine, byte[] encoder, Snapshot snapshot) {
            List<Page> pages = new ArrayList<>(snapshot.count());
            List<Integer> contents = new ArrayList<>();
            List<PageHash> added = new ArrayList<>();
            Map<PageHash, Place> fresh = new HashMap<>();
            for (int i = 0; i < snapshot.count(); i++) {
                PageHash hash = snapshot.hash(i, sha256);
                if (snapshot.isZero(i)) {
                    pages.add(
                            new Page(
                                    snapshot.numbers[i],
                                    CheckpointFile.ZEROS,
                                    CheckpointFile.ZEROS,
                                    hash));
                    continue;
                }
                Place place = known.get(hash);
                if (place == null) {
                    place = fresh.get(hash);
                }
                if (place == null) {
                    place = new Place(checkpoint, contents.size());
                    fresh.put(hash, place);
                    added.add(hash);
                    contents.add(i);
                }
                pages.add(new Page(snapshot.numbers[i], place.checkpoint, place.index, hash));
            }
            String file = fileName(checkpoint);
            long bytes =
                    CheckpointFile.write(
                            trace.resolve(file),
                            checkpoint,
                            machine,
                            encoder,
                            pages,
                            contents.size(),
                            (content, into, at) -> snapshot.copy(contents.get(content), into, at));
            // Only what is on the disk may be referred to.
            for (PageHash hash : added) {
                known.put(hash, fresh.get(hash));
            }
            return new Written(file, pages.size(), contents.size(), bytes);
        }
    }

    /** Reads the checkpoints of a trace. */
    public static final class Reader {
        private final Path trace;
        private final List<Manifest.Checkpoint> checkpoints;

        public Reader(Path trace, List<Manifest.Checkpoint> checkpoints) {
            this.trace = trace;
            this.checkpoints = checkpoints;
        }

        private CheckpointFile.Contents open(int checkpoint) {
            return CheckpointFile.read(
                    trace.resolve(checkpoints.get(checkpoint).file()), checkpoint);
        }

        /** Reads every checkpoint and fails if one is damaged. */
        public void check() {
            for (int i = 0; i < checkpoints.size(); i++) {
                open(i);
            }
        }

        /** The saved state of the machine, without RAM. */
        public byte[] machineState(int checkpoint) {
            return open(checkpoint).head().machine();
        }

        /**
         * Puts machine, RAM and encoder into the state of a checkpoint; the machine must be built
         * as the recorded one was.
         */
        public void load(int checkpoint, RecordedMachine machine, EventEncoder encoder) {
            CheckpointFile.Contents last = null;
            Map<Integer, Page> newest = new HashMap<>();
            List<CheckpointFile.Contents> files = new ArrayList<>();
            for (int i = 0; i <= checkpoint; i++) {
                last = open(i);
                files.add(last);
                for (Page page : last.head().pages()) {
                    newest.put(page.page(), page);
                }
            }
            if (last == null) {
                throw new IllegalArgumentException("checkpoint " + checkpoint);
            }
            try {
                loadPages(machine.memory(), newest, files);
                BinaryStateReader state = new BinaryStateReader(last.head().machine());
                machine.load(state);
                if (!state.atEnd()) {
                    throw new StateFormatException(
                            "the saved machine has more state than this one");
                }
                encoder.load(new BinaryStateReader(last.head().encoder()));
            } catch (StateFormatException e) {
                throw new TraceException(
                        "checkpoint "
                                + checkpoint
                                + " does not fit this machine: "
                                + e.getMessage(),
                        e);
            }
            machine.memory().cleanAll();
        }

        private static void loadPages(
                PhysicalMemory memory,
                Map<Integer, Page> newest,
                List<CheckpointFile.Contents> files) {
            // In the order of the contents, so that each group is decompressed once.
            List<Page> pages = new ArrayList<>(newest.values());
            pages.sort((a, b) ->
                    a.checkpoint() != b.checkpoint()
                            ? Integer.compare(a.checkpoint(), b.checkpoint())
                            : a.index() != b.index()
                                    ? Integer.compare(a.index(), b.index())
                                    : Integer.compare(a.page(), b.page()));
            byte[] bytes = new byte[CheckpointFile.PAGE_SIZE];
            for (Page page : pages) {
                if (page.page() >= memory.pageCount()) {
                    throw new StateFormatException("it has more memory");
                }
                if (page.checkpoint() == CheckpointFile.ZEROS) {
                    if (memory.everWritten(page.page())) {
                        memory.loadPage(page.page(), ZERO_PAGE);
                    }
                } else {
                    files.get(page.checkpoint()).page(page.index(), bytes);
                    memory.loadPage(page.page(), bytes);
                }
            }
        }

        /**
         * Compares the pages that a replaying machine wrote since the checkpoint before with those
         * of a recorded checkpoint, and marks them clean.
         */
        public Comparison comparePages(int checkpoint, PhysicalMemory memory) {
            Snapshot found = takeDirtyPages(memory);
            Map<Integer, PageHash> expected = new HashMap<>();
            for (Page page : open(checkpoint).head().pages()) {
                expected.put(page.page(), page.hash());
            }
            MessageDigest sha256 = CheckpointFile.sha256();
            PageDifference difference = null;
            for (int i = 0; i < found.count() && difference == null; i++) {
                int page = found.numbers[i];
                PageHash recorded = expected.remove(page);
                PageHash now = found.hash(i, sha256);
                if (recorded == null) {
                    difference = new PageDifference(page, "not written", "written");
                } else if (!recorded.equals(now)) {
                    difference = new PageDifference(page, recorded.toString(), now.toString());
                }
            }
            if (difference == null && !expected.isEmpty()) {
                int page = expected.keySet().stream().min(Integer::compare).orElseThrow();
                difference = new PageDifference(page, "written", "not written");
            }
            return new Comparison(found.count(), difference);
        }
    }

    /** Marks all pages clean and tells how many were not. */
    public static int cleanPages(PhysicalMemory memory) {
        int dirty = dirtyPages(memory);
        memory.cleanAll();
        return dirty;
    }

    /** How many pages were written since the last checkpoint. */
    public static int dirtyPages(PhysicalMemory memory) {
        int dirty = 0;
        for (int page = 0; page < memory.pageCount(); page++) {
            if (memory.dirty(page)) {
                dirty++;
            }
        }
        return dirty;
    }

    /**
     * What {@link Reader#comparePages} found.
     *
     * @param dirtyPages how many pages were written
     * @param difference the first page that differs, or null
     */
    public record Comparison(int dirtyPages, PageDifference difference) {}

    /** A RAM page that is not as recorded. */
    public record PageDifference(int page, String expected, String found) {}
}
