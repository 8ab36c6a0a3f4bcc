package dev.pacifica.emulator.boot;

import java.util.List;
import java.util.OptionalLong;

/**
 * What to boot.
 *
 * @param loadAddress physical address of a flat binary; empty lets the kernel's format decide
 */
public record BootRequest(
        BootFile kernel, List<BootModule> modules, String commandLine, OptionalLong loadAddress) {
    public BootRequest {
        modules = List.copyOf(modules);
        if (commandLine.indexOf('\0') >= 0) {
            throw new BootException("--append: the command line holds a NUL character");
        }
    }

    /** A kernel with a command line and nothing else. */
    public static BootRequest of(BootFile kernel, String commandLine) {
        return new BootRequest(kernel, List.of(), commandLine, OptionalLong.empty());
    }
}
