package dev.pacifica.emulator.cpu;

import dev.pacifica.emulator.decode.CpuidFeature;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/** A processor model: identification and the features that CPUID offers. Immutable. */
public final class CpuModel {
    /** Width of physical addresses (CPUID Fn8000_0008). */
    public static final int PHYSICAL_BITS = 48;

    /** Family 19h model 1 stepping 1 (Zen 3), the default. */
    public static final CpuModel DEFAULT =
            new CpuModel(
                    "epyc-milan",
                    0x00a0_0f11,
                    "AMD EPYC 7003-series processor (Pacifica)",
                    standard());

    /** Family 17h model 31h stepping 0 (Zen 2). */
    private static final CpuModel ROME =
            new CpuModel(
                    "epyc-rome",
                    0x0083_0f10,
                    "AMD EPYC 7002-series processor (Pacifica)",
                    standard());

    private static final List<CpuModel> MODELS = List.of(DEFAULT, ROME);

    private final String name;
    private final int signature;
    private final String brand;
    private final EnumSet<CpuFeature> features;

    /** Whether each feature is there, by {@link #index}: {@link #has} is asked at each VMRUN. */
    private final boolean[] present = new boolean[CpuFeature.values().length];

    private final long cr4Mask;
    private final long eferMask;
    private final boolean hugePages;

    private CpuModel(String name, int signature, String brand, EnumSet<CpuFeature> features) {
        this.name = name;
        this.signature = signature;
        this.brand = brand;
        this.features = features;
        for (CpuFeature feature : features) {
            present[index(feature)] = true;
        }
        cr4Mask = computeCr4Mask();
        eferMask = computeEferMask();
        hugePages = has(CpuFeature.PDPE1GB);
    }

    /** A model or feature that there is not. */
    public static final class UnknownName extends IllegalArgumentException {
        private static final long serialVersionUID = 1L;

        private final String what;
        private final String name;
        private final transient List<String> choices;

        UnknownName(String what, String name, List<String> choices) {
            super(
                    "unknown CPU %s '%s'; there are %s"
                            .formatted(what, name, String.join(", ", choices)));
            this.what = what;
            this.name = name;
            this.choices = choices;
        }

        /** What it should have been: {@code model} or {@code feature}. */
        public String what() {
            return what;
        }

        public String name() {
            return name;
        }

        /** The names that there are. */
        public List<String> choices() {
            return choices;
        }
    }

    private static EnumSet<CpuFeature> standard() {
        EnumSet<CpuFeature> set = EnumSet.noneOf(CpuFeature.class);
        for (CpuFeature feature : CpuFeature.values()) {
            if (feature.use == CpuFeature.Use.STANDARD) {
                set.add(feature);
            }
        }
        return set;
    }

    /**
     * Parses {@code MODEL[,+feature,-feature…]}. The changes are made from left to right; XSAVE
     * takes its extensions (XSAVEOPT, XSAVEC, XGETBV1, XSAVES) away with it, NPT those of nested
     * paging (GMET, ROGPT, virtual VMSAVE and VMLOAD), and one of them that is added later brings
     * it back.
     *
     * @throws UnknownName if there is no such model or feature
     * @throws IllegalArgumentException with a message for the person, if a feature is not
     *     implemented or cannot be taken away
     */
    public static CpuModel parse(String text) {
        String[] parts = text.split(",", -1);
        CpuModel model = byName(parts[0].strip());
        EnumSet<CpuFeature> features = EnumSet.copyOf(model.features);
        List<String> changes = new ArrayList<>();
        for (int i = 1; i < parts.length; i++) {
            String part = parts[i].strip();
            boolean add = part.startsWith("+");
            if (!add && !part.startsWith("-")) {
                throw new IllegalArgumentException(
                        "CPU feature '" + part + "' must begin with + or -");
            }
            CpuFeature feature = featureByName(part.substring(1));
            if (add && feature.use == CpuFeature.Use.ABSENT) {
                throw new IllegalArgumentException(
                        "CPU feature '" + feature.label() + "' is not implemented");
            }
            if (!add && ESSENTIAL.contains(feature)) {
                throw new IllegalArgumentException(
                        "CPU feature '" + feature.label() + "' cannot be taken away");
            }
            change(features, feature, add);
            changes.add((add ? "+" : "-") + feature.label());
        }
        String name = changes.isEmpty() ? model.name : model.name + "," + String.join(",", changes);
        return new CpuModel(name, model.signature, model.brand, features);
    }

    private static void change(EnumSet<CpuFeature> features, CpuFeature feature, boolean add) {
        if (add) {
            features.add(feature);
            NEEDED_BY.forEach((needed, extensions) -> {
                if (extensions.contains(feature)) {
                    features.add(needed);
                }
            });
        } else {
            features.remove(feature);
            features.removeAll(NEEDED_BY.getOrDefault(feature, Set.of()));
        }
    }

    /** What is nothing without XSAVE and without nested paging. */
    private static final Map<CpuFeature, Set<CpuFeature>> NEEDED_BY =
            new EnumMap<>(
                    Map.of(
                            CpuFeature.XSAVE,
                            Set.of(
                                    CpuFeature.XSAVEOPT,
                                    CpuFeature.XSAVEC,
                                    CpuFeature.XGETBV1,
                                    CpuFeature.XSAVES),
                            CpuFeature.NPT,
                            Set.of(CpuFeature.GMET, CpuFeature.ROGPT, CpuFeature.V_VMSAVE_VMLOAD)));

    /** What the machine could not run without. */
    private static final Set<CpuFeature> ESSENTIAL =
            Set.of(CpuFeature.FPU, CpuFeature.MSR, CpuFeature.APIC, CpuFeature.TSC);

    private static CpuModel byName(String name) {
        for (CpuModel model : MODELS) {
            if (model.name.equals(name.toLowerCase(Locale.ROOT))
                    || name.isEmpty() && model == DEFAULT) {
                return model;
            }
        }
        throw new UnknownName("model", name, names());
    }

    private static CpuFeature featureByName(String name) {
        String wanted = name.toLowerCase(Locale.ROOT).replace('_', '-').replace('.', '-');
        for (CpuFeature feature : CpuFeature.values()) {
            if (feature.label().equals(wanted)) {
                return feature;
            }
        }
        throw new UnknownName("feature", name, features());
    }

    /** The features that {@link #parse} can add or take away, by their names. */
    private static List<String> features() {
        return Stream.of(CpuFeature.values())
                .filter(f -> f.use != CpuFeature.Use.ABSENT && !ESSENTIAL.contains(f))
                .map(CpuFeature::label)
                .toList();
    }

    /** The models that {@link #parse} knows. */
    public static List<String> names() {
        return MODELS.stream().map(m -> m.name).toList();
    }

    /** As {@link #parse} takes it. */
    public String name() {
        return name;
    }

    @SuppressWarnings("EnumOrdinal") // an index into an array that nobody saves
    private static int index(CpuFeature feature) {
        return feature.ordinal();
    }

    public boolean has(CpuFeature feature) {
        return present[index(feature)];
    }

    /** The features that the decoder must know, to make all other instructions undefined. */
    public Set<CpuidFeature> decoderFeatures() {
        EnumSet<CpuidFeature> set = EnumSet.noneOf(CpuidFeature.class);
        for (CpuFeature feature : features) {
            if (feature.instructions != null) {
                set.add(feature.instructions);
            }
        }
        return set;
    }

    /** CPUID Fn0000_0001_EAX. */
    int signature() {
        return signature;
    }

    /** The feature bits of one CPUID register. */
    int bits(int leaf, CpuFeature.Register register) {
        int bits = 0;
        for (CpuFeature feature : features) {
            if (feature.leaf == leaf && feature.register == register) {
                bits |= 1 << feature.bit;
            }
        }
        return bits;
    }

    /** Eight bytes of the 48-byte processor name string, part 0 to 5. */
    long namePart(int part) {
        byte[] bytes = brand.getBytes(StandardCharsets.US_ASCII);
        long value = 0;
        for (int i = 7; i >= 0; i--) {
            int at = 8 * part + i;
            value = value << 8 | (at < bytes.length ? bytes[at] & 0xff : 0);
        }
        return value;
    }

    /** Whether page tables may map 1-GiB pages. */
    public boolean hugePages() {
        return hugePages;
    }

    /** The bits of CR4 that may be set. */
    public long cr4Mask() {
        return cr4Mask;
    }

    private long computeCr4Mask() {
        long mask = Cpu.CR4_TSD | Cpu.CR4_PCE | Cpu.CR4_OSXMMEXCPT;
        mask |= when(CpuFeature.VME, Cpu.CR4_VME | Cpu.CR4_PVI);
        mask |= when(CpuFeature.DE, Cpu.CR4_DE);
        mask |= when(CpuFeature.PSE, Cpu.CR4_PSE);
        mask |= when(CpuFeature.PAE, Cpu.CR4_PAE);
        mask |= when(CpuFeature.MCE, Cpu.CR4_MCE);
        mask |= when(CpuFeature.PGE, Cpu.CR4_PGE);
        mask |= when(CpuFeature.FXSR, Cpu.CR4_OSFXSR);
        mask |= when(CpuFeature.UMIP, Cpu.CR4_UMIP);
        mask |= when(CpuFeature.FSGSBASE, Cpu.CR4_FSGSBASE);
        mask |= when(CpuFeature.PCID, Cpu.CR4_PCIDE);
        mask |= when(CpuFeature.XSAVE, Cpu.CR4_OSXSAVE);
        mask |= when(CpuFeature.SMEP, Cpu.CR4_SMEP);
        return mask | when(CpuFeature.SMAP, Cpu.CR4_SMAP);
    }

    /** The bits of EFER that may be set. */
    public long eferMask() {
        return eferMask;
    }

    private long computeEferMask() {
        return when(CpuFeature.SYSCALL, Cpu.EFER_SCE)
                | when(CpuFeature.LM, Cpu.EFER_LME)
                | when(CpuFeature.NX, Cpu.EFER_NXE)
                | when(CpuFeature.SVM, Cpu.EFER_SVME)
                | when(CpuFeature.MCOMMIT, Cpu.EFER_MCOMMIT)
                | when(CpuFeature.FXSR_OPT, Cpu.EFER_FFXSR);
    }

    private long when(CpuFeature feature, long bits) {
        return has(feature) ? bits : 0;
    }

    @Override
    public String toString() {
        return name;
    }
}
