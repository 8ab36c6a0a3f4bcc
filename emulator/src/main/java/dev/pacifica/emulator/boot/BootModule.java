package dev.pacifica.emulator.boot;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A file handed to the kernel, with the string that a Multiboot kernel sees beside it. */
public record BootModule(BootFile file, String arguments) {
    /**
     * Parses the value of an {@code --initrd} option: files separated by commas, each with
     * arguments after a space; two commas stand for one in a name.
     */
    public static List<BootModule> parse(String option) {
        List<BootModule> modules = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        for (int i = 0; i <= option.length(); i++) {
            boolean end = i == option.length();
            char c = end ? ',' : option.charAt(i);
            if (c != ',') {
                word.append(c);
            } else if (!end && i + 1 < option.length() && option.charAt(i + 1) == ',') {
                word.append(',');
                i++;
            } else {
                modules.add(parseOne(word.toString().strip()));
                word.setLength(0);
            }
        }
        return modules;
    }

    private static BootModule parseOne(String text) {
        if (text.isEmpty()) {
            throw new BootException(
                    "--initrd: a file name is missing; files are separated by single commas");
        }
        int space = text.indexOf(' ');
        String name = space < 0 ? text : text.substring(0, space);
        return new BootModule(
                BootFile.open(Path.of(name)), space < 0 ? "" : text.substring(space + 1).strip());
    }

    /** The string of the module as Multiboot loaders give it: name and arguments. */
    String commandLine() {
        return arguments.isEmpty() ? file.baseName() : file.baseName() + " " + arguments;
    }
}
