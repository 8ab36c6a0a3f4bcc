package dev.pacifica.cli;

import java.math.BigDecimal;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A number of instructions: 250000000, 250_000_000, 250M, 2.5G (decimal multiples), or hexadecimal
 * with 0x.
 */
final class CountConverter implements ITypeConverter<Long> {
    @Override
    public Long convert(String text) {
        String plain = text.strip().replace("_", "").toUpperCase(Locale.ROOT);
        try {
            if (plain.startsWith("0X")) {
                return Long.parseUnsignedLong(plain.substring(2), 16);
            }
            int power =
                    plain.isEmpty()
                            ? 0
                            : 3 * ("KMGT".indexOf(plain.charAt(plain.length() - 1)) + 1);
            String digits = power == 0 ? plain : plain.substring(0, plain.length() - 1);
            long value = new BigDecimal(digits).scaleByPowerOfTen(power).longValueExact();
            if (value < 0) {
                throw new ArithmeticException();
            }
            return value;
        } catch (ArithmeticException | NumberFormatException e) {
            throw new TypeConversionException(
                    "'"
                            + text
                            + "' is not a number of instructions such as 250000000, 250M or 2.5G");
        }
    }
}
