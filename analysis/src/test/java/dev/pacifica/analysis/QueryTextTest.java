package dev.pacifica.analysis;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QueryTextTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '~',
            quoteCharacter = '`',
            value = {
                "a = 0x10 ~ a = 16",
                "a=0xFFFFFFFF81000000 OR b>0X0a ~ a=18446744071578845184 OR b>10",
                "a IN (0x1,0x2) ~ a IN (1,2)",
                "a = '0x10' ~ a = '0x10'",
                "a = 'it''s 0x10' AND 0x11 ~ a = 'it''s 0x10' AND 17",
                "\"0x10\" = 0x10 ~ \"0x10\" = 16",
                "1 -- 0x10 ~ 1 -- 0x10",
                "/* 0x10 ' */ 0x10 ~ /* 0x10 ' */ 16",
                "$$ 0x10 $$ || $t$ $$ 0x10 $t$ ~ $$ 0x10 $$ || $t$ $$ 0x10 $t$",
                "name0x10, t.x0x10, 10x10, 0xzz, 0x1g ~ name0x10, t.x0x10, 10x10, 0xzz, 0x1g",
                "'never ended 0x10 ~ 'never ended 16",
            })
    void hexadecimalNumbersAndNothingElse(String sql, String expected) {
        assertThat(QueryText.statements(sql)).containsExactly(expected);
    }

    @Test
    void statementsEndAtSemicolonsOutsideOfTextsAndComments() {
        assertThat(QueryText.statements("SELECT ';', \";\" /* ; */ ; -- ;\n; SELECT $$;$$;"))
                .containsExactly("SELECT ';', \";\" /* ; */ ", " SELECT $$;$$");
        assertThat(QueryText.statements("SELECT 1;;\nSELECT 0x2"))
                .containsExactly("SELECT 1", "\nSELECT 2");
        assertThat(QueryText.statements(" ; /* nothing */ ;")).isEmpty();
    }
}
