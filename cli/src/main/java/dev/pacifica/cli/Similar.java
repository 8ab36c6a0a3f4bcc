package dev.pacifica.cli;

import java.util.Collection;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.UnmatchedArgumentException;

/** What a person may have meant by a word that is none of those there are. */
final class Similar {
    private Similar() {}

    /** {@code "; did you mean a, b or c?"}, the most similar first, or nothing if none is. */
    static String question(String word, Collection<String> choices) {
        List<String> similar = to(word, choices);
        if (similar.isEmpty()) {
            return "";
        }
        String last = similar.getLast();
        String others = String.join(", ", similar.subList(0, similar.size() - 1));
        return "; did you mean " + (others.isEmpty() ? "" : others + " or ") + last + "?";
    }

    /** Picocli's own measure, which it has for subcommands only: they begin with no dash. */
    private static List<String> to(String word, Collection<String> choices) {
        CommandSpec words = CommandSpec.create();
        for (String choice : choices) {
            words.addSubcommand(choice.replaceFirst("^-+", ""), CommandSpec.create());
        }
        String plain = word.replaceFirst("^-+", "");
        String dashes = word.substring(0, word.length() - plain.length());
        return new UnmatchedArgumentException(new CommandLine(words), List.of(plain))
                .getSuggestions().stream().map(similar -> dashes + similar).toList();
    }
}
