package dev.pacifica.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.pacifica.recorder.TraceReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A recording of Linux with KVM is killed (kill -9) at random moments. Each time the trace opens,
 * says how far it goes, has the same events as the recording that was not killed, and replays as
 * far as it says. 3 moments, or as many as -Dpacifica.kills=N says.
 */
class KillIT {
    private static final int KILLS = Integer.getInteger("pacifica.kills", 3);
    private static final long SEED = Long.getLong("pacifica.seed", 20);
    private static final Duration PATIENCE = Duration.ofMinutes(10);
    private static final Pattern INSTRUCTIONS = Pattern.compile("(?m)^instructions +([\\d,]+)$");
    private static final Pattern EVENTS = Pattern.compile("(?m)^events +([\\d,]+)$");
    private static final Pattern VERDICT =
            Pattern.compile(
                    "identical: instructions 0 to ([\\d,]+), ([\\d,]+) events and [\\d,]+"
                            + " checkpoints? compared \\(the recording was cut off here\\)\n");

    @TempDir Path folder;

    @Test
    void aKilledRecordingIsWorthWhatWasWritten() throws IOException, InterruptedException {
        Ladder.Recorded whole = Ladder.KVM_NESTED_PAGING.recorded();
        SplittableRandom random = new SplittableRandom(SEED);
        long furthest = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Path own = Files.createDirectory(folder.resolve("kill-" + kill));
            // One moment in each part of the run, so that few of them still cover it.
            double part = (kill + random.nextDouble()) / KILLS;
            long reaches = recordAndKill(whole, own, part, kill);
            for (int again = 0; reaches < 0; again++) {
                assertThat(again).as("kills that came too late").isLessThan(5);
                // It needed less processor time than the whole recording: sooner, then.
                Ladder.say("kill %d of %d: it was over before", kill + 1, KILLS);
                part = part * 0.8;
                Ladder.deleteTree(own);
                Files.createDirectory(own);
                reaches = recordAndKill(whole, own, part, kill);
            }
            furthest = Math.max(furthest, reaches);
            Ladder.deleteTree(own);
        }
        assertThat(furthest).as("instructions of the longest trace").isGreaterThan(200_000_000);
    }

    /** How many instructions the killed recording kept; negative if it was over too soon. */
    private static long recordAndKill(Ladder.Recorded whole, Path folder, double part, int kill)
            throws IOException, InterruptedException {
        long total = TraceReader.open(whole.trace()).manifest().end().insnCount();
        Process process =
                PacificaProcess.start(folder, Ladder.KVM_NESTED_PAGING.recordArguments(folder));
        process.getOutputStream().close();
        Path trace = folder.resolve("run.pacifica");
        // Before the manifest is there, there is no trace.
        while (!Files.exists(trace.resolve("manifest.json"))) {
            assertThat(process.isAlive()).isTrue();
            Thread.sleep(20);
        }
        // By its processor time, which runs with the work however busy the host is; where that
        // falls in the run is chance.
        Duration moment = whole.cpu().multipliedBy((long) (part * 1000)).dividedBy(1000);
        while (process.isAlive() && Ladder.cpu(process).compareTo(moment) < 0) {
            Thread.sleep(10);
        }
        boolean ended = !process.isAlive();
        process.destroyForcibly();
        process.waitFor();
        if (ended) {
            return -1;
        }
        PacificaProcess.Result info =
                PacificaProcess.run(PATIENCE, folder, "", "info", trace.toString());
        assertThat(info.err()).isEmpty();
        assertThat(info.status()).isZero();
        assertThat(info.out())
                .contains("cut off (killed, or the disk was full); whole up to there");
        long reaches = number(INSTRUCTIONS, info.out());
        long events = number(EVENTS, info.out());
        assertThat(ReplayIT.sameEvents(TraceReader.open(whole.trace()), TraceReader.open(trace)))
                .isEqualTo(events);
        PacificaProcess.Result replay =
                PacificaProcess.run(PATIENCE, folder, "", "replay", trace.toString(), "--verify");
        assertThat(replay.err()).isEmpty();
        assertThat(replay.status()).isZero();
        Matcher verdict = VERDICT.matcher(replay.out());
        assertThat(verdict.matches()).as(replay.out()).isTrue();
        assertThat(count(verdict.group(1))).isEqualTo(reaches);
        assertThat(count(verdict.group(2))).isEqualTo(events);
        Ladder.say(
                "kill %d of %d: the trace goes to instruction %,d (%.0f %% of the run) with %,d"
                        + " events, and replays that far",
                kill + 1, KILLS, reaches, 100.0 * reaches / total, events);
        return reaches;
    }

    private static long number(Pattern pattern, String text) {
        Matcher matcher = pattern.matcher(text);
        assertThat(matcher.find()).as(text).isTrue();
        return count(matcher.group(1));
    }

    private static long count(String grouped) {
        return Long.parseLong(grouped.replace(",", ""), 10);
    }
}
