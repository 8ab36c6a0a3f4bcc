package dev.pacifica.cli;

import dev.pacifica.emulator.machine.MachineConfig;
import java.nio.file.Path;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/**
 * The options that describe a machine, and the statuses with which one ends, shared by {@code run}
 * and {@code record}.
 */
@Command(
        exitCodeListHeading = "%nExit status:%n",
        exitCodeList = {
            "0:the guest switched the power off",
            "2:bad usage or bad input",
            "6:the guest halted with nothing that could wake it",
            "8:the guest, or a triple fault, reset the machine",
            "124:ended by --max-instructions",
            "130:ended by Ctrl-C",
            "(v<<1)|1:the guest wrote v to the debug-exit port f4h; so all odd ones are the guest's"
        })
final class MachineOptions {
    @Option(
            names = "--kernel",
            required = true,
            paramLabel = "FILE",
            description =
                    "What to boot: Linux bzImage or PVH ELF, Multiboot kernel, or a flat binary"
                            + " with --load.")
    Path kernel;

    @Option(
            names = "--initrd",
            paramLabel = "FILE[,FILE…]",
            description =
                    "Initial ramdisks or Multiboot modules; a module's arguments follow it after a"
                            + " space.")
    String initrd;

    @Option(
            names = "--append",
            paramLabel = "STR",
            defaultValue = "",
            description = "The kernel's command line.")
    String append;

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            defaultValue = "512M",
            converter = ByteSize.Converter.class,
            description = "RAM, up to 64G; committed lazily. Default: ${DEFAULT-VALUE}.")
    ByteSize memory;

    @Option(
            names = "--serial",
            paramLabel = "stdio|file:PATH|null",
            description = "Where COM1 goes; a second one is COM2's. Default: stdio, null.")
    List<String> serial = List.of();

    @Option(
            names = "--cpu",
            paramLabel = "MODEL[,+F,-F]",
            defaultValue = "epyc-milan",
            description =
                    "Processor model, epyc-milan (AMD family 19h) or epyc-rome (17h), with features"
                            + " added or taken away, as in epyc-milan,-vgif,-avic; an unknown one is"
                            + " answered with the list of all. Changes are made from left to right:"
                            + " -xsave takes xsavec and its like away too, -npt gmet and its like; a"
                            + " later +xsavec brings xsave back. Default: ${DEFAULT-VALUE}.")
    String cpu;

    @Option(
            names = "--cpus",
            paramLabel = "N",
            defaultValue = "1",
            converter = ProcessorsConverter.class,
            description = "Processors, 1 to 64. Default: ${DEFAULT-VALUE}.")
    int cpus;

    @Option(
            names = "--quantum",
            paramLabel = "N",
            converter = CountConverter.class,
            description =
                    "Instructions that one of several processors executes before it is the next"
                            + " one's turn. Default: 10000.")
    Long quantum;

    @Option(
            names = "--vmcb-cache",
            paramLabel = "on|off",
            arity = "1",
            defaultValue = "off",
            converter = OnOffConverter.class,
            description =
                    "Whether processors keep VMCB fields between a #VMEXIT and the next VMRUN as"
                            + " the VMCB's clean bits allow, or load all of them every time. Default:"
                            + " ${DEFAULT-VALUE}.")
    OnOff vmcbCache;

    @Option(
            names = "--max-instructions",
            paramLabel = "N",
            converter = CountConverter.class,
            description =
                    "End after exactly this many instructions (250M is 250 million) and say where.")
    Long maxInstructions;

    @Option(
            names = "--rtc-base",
            paramLabel = "INSTANT",
            defaultValue = "2026-01-01T00:00:00Z",
            converter = InstantConverter.class,
            description =
                    "What the real-time clock shows at power-on, or 'now'. Default:"
                            + " ${DEFAULT-VALUE}.")
    Instant rtcBase;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            converter = SeedConverter.class,
            description =
                    "What the machine's sources of randomness start from. Default:"
                            + " ${DEFAULT-VALUE}.")
    long seed;

    @Option(
            names = "--load",
            paramLabel = "ADDR",
            converter = AddressConverter.class,
            description =
                    "The kernel is a flat binary to be loaded and started at this address, such as"
                            + " 0x7c00: below 1 MiB in real mode, above in 32-bit protected mode.")
    Long load;

    long instructionLimit() {
        return maxInstructions == null ? Long.MAX_VALUE : maxInstructions;
    }

    /** No boolean, because picocli gives the defaults of those to the converter as "false". */
    enum OnOff {
        ON,
        OFF
    }

    static final class OnOffConverter implements ITypeConverter<OnOff> {
        @Override
        public OnOff convert(String text) {
            return switch (text) {
                case "on" -> OnOff.ON;
                case "off" -> OnOff.OFF;
                default -> throw new TypeConversionException("'" + text + "' is not on or off");
            };
        }
    }

    /** In decimal; whether a machine can have so many is asked later. */
    static final class ProcessorsConverter implements ITypeConverter<Integer> {
        @Override
        public Integer convert(String text) {
            try {
                return Integer.valueOf(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException(
                        "'%s' is not a number of processors from 1 to %d"
                                .formatted(text, MachineConfig.MAX_CPUS));
            }
        }
    }

    /** 64 bits, hexadecimal with 0x or decimal with sign. */
    static final class SeedConverter implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            try {
                return text.regionMatches(true, 0, "0x", 0, 2)
                        ? Long.parseUnsignedLong(text.substring(2), 16)
                        : Long.parseLong(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException(
                        "'" + text + "' is not a whole number of 64 bits such as 42 or 0x2a");
            }
        }
    }

    /** Hexadecimal with 0x, or decimal. */
    static final class AddressConverter implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            try {
                return text.regionMatches(true, 0, "0x", 0, 2)
                        ? Long.parseUnsignedLong(text.substring(2), 16)
                        : Long.parseUnsignedLong(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException(
                        "'" + text + "' is not an address such as 0x7c00");
            }
        }
    }

    /** ISO 8601, or {@code now}. */
    static final class InstantConverter implements ITypeConverter<Instant> {
        @Override
        public Instant convert(String text) {
            if (text.equals("now")) {
                return Instant.now();
            }
            try {
                return Instant.parse(text);
            } catch (DateTimeParseException e) {
                throw new TypeConversionException(
                        "'" + text + "' is not an instant such as 2026-01-01T00:00:00Z");
            }
        }
    }
}
