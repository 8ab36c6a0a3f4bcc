package dev.pacifica.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Writes real-mode guests, flat binaries for --load 0x7c00, from the few instructions that these
 * tests need.
 */
final class TinyGuest {
    static final String LOAD = "0x7c00";

    private final ByteArrayOutputStream code = new ByteArrayOutputStream();

    private TinyGuest bytes(int... values) {
        for (int value : values) {
            code.write(value);
        }
        return this;
    }

    /** {@code mov al, value; out port, al}. */
    private TinyGuest out(int port, int value) {
        bytes(0xb0, value); // mov al, value
        bytes(0xba, port & 0xff, port >> 8); // mov dx, port
        return bytes(0xee); // out dx, al
    }

    /** Prints on COM1. */
    TinyGuest print(String ascii) {
        for (int i = 0; i < ascii.length(); i++) {
            out(0x3f8, ascii.charAt(i));
        }
        return this;
    }

    /**
     * Spends 65,536 × {@code times} + a few instructions, writing the counter to memory each time.
     */
    TinyGuest spin(int times) {
        bytes(0xbb, times & 0xff, times >> 8); // mov bx, times
        int again = code.size();
        bytes(0x89, 0x1e, 0x00, 0x60); // mov [6000h], bx
        bytes(0x31, 0xc9); // xor cx, cx
        bytes(0xe2, 0xfe); // loop $
        bytes(0x4b); // dec bx
        return bytes(0x75, again - code.size() - 2); // jnz again
    }

    /** Waits for a byte on COM1, prints it back, and goes on when it is {@code last}. */
    TinyGuest echoUntil(char last) {
        int again = code.size();
        bytes(0xba, 0xfd, 0x03); // mov dx, 3fdh
        bytes(0xec); // in al, dx
        bytes(0xa8, 0x01); // test al, 1
        bytes(0x74, again - code.size() - 2); // jz again
        bytes(0xba, 0xf8, 0x03); // mov dx, 3f8h
        bytes(0xec); // in al, dx
        bytes(0xee); // out dx, al
        bytes(0x3c, last); // cmp al, last
        return bytes(0x75, again - code.size() - 2); // jne again
    }

    /** Leaves through the debug-exit port. */
    TinyGuest exit(int value) {
        return out(0xf4, value);
    }

    /** {@code cli; hlt}: nothing can wake the machine. */
    TinyGuest halt() {
        return bytes(0xfa, 0xf4);
    }

    /** Prints on COM1 and does nothing else. */
    TinyGuest printForEver() {
        bytes(0xba, 0xf8, 0x03); // mov dx, 3f8h
        int again = code.size();
        bytes(0xee); // out dx, al
        return bytes(0xeb, again - code.size() - 2); // jmp again
    }

    /** Loops for ever. */
    TinyGuest forEver() {
        return bytes(0xeb, 0xfe);
    }

    Path write(Path file) throws IOException {
        return Files.write(file, code.toByteArray());
    }
}
