package dev.pacifica.emulator.observe;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class PairedObserverTest {
    private static MachineObserver recording(String name, List<String> calls) {
        InvocationHandler handler =
                (_, method, _) -> {
                    calls.add(name + " " + method.getName());
                    return null;
                };
        return (MachineObserver)
                Proxy.newProxyInstance(
                        MachineObserver.class.getClassLoader(),
                        new Class<?>[] {MachineObserver.class},
                        handler);
    }

    @Test
    void bothAreToldOfEverything() throws ReflectiveOperationException {
        List<String> calls = new ArrayList<>();
        MachineObserver both =
                PairedObserver.of(recording("first", calls), recording("second", calls));
        for (Method method : MachineObserver.class.getDeclaredMethods()) {
            if (method.isSynthetic()) {
                continue;
            }
            calls.clear();
            Object[] arguments = new Object[method.getParameterCount()];
            for (int i = 0; i < arguments.length; i++) {
                Class<?> type = method.getParameterTypes()[i];
                if (type == int.class) {
                    arguments[i] = 1;
                } else if (type == long.class) {
                    arguments[i] = 1L;
                } else if (type == boolean.class) {
                    arguments[i] = true;
                }
            }
            method.invoke(both, arguments);
            assertThat(calls)
                    .containsExactly("first " + method.getName(), "second " + method.getName());
        }
    }

    @Test
    void nobodyIsNoBurden() {
        MachineObserver one = new MachineObserver() {};
        assertThat(PairedObserver.of(one, null)).isSameAs(one);
        assertThat(PairedObserver.of(null, one)).isSameAs(one);
        assertThat(PairedObserver.of(null, null)).isNull();
    }
}
