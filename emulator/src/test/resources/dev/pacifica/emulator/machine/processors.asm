; What every processor of ProcessorsTest runs, in real mode at 0800:0000; data through DS = 0. Built by: nasm -f bin processors.asm -o processors.bin
bits 16
org 0
LOCKV equ 0x1000      ; spin lock
COUNT equ 0x1004      ; how often the lock was taken
LASTTSC equ 0x1008    ; last TSC seen, 64 bits
ERRORS equ 0x1010     ; TSC went back
STARTED equ 0x1014
IPIS equ 0x1018
NMIS equ 0x101c
RING equ 0x1100       ; 256 bytes: who held the lock
FLAG equ 0x1080       ; monitored line
start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ecx, 0x1b
    rdmsr
    or ax, 0xc00
    wrmsr                   ; x2APIC
    mov ecx, 0x80f
    mov eax, 0x1ff
    xor edx, edx
    wrmsr
    mov ecx, 0x832          ; timer: one-shot, vector 41h
    mov eax, 0x41
    wrmsr
    mov ecx, 0x83e          ; divide by 1
    mov eax, 0xb
    wrmsr
    mov ecx, 0x802
    rdmsr
    mov edi, eax            ; id
    mov bx, ax
    inc bx
    shl bx, 7
    xor ax, ax
    mov ss, ax
    mov sp, bx
    add sp, 0x4000          ; stack
    imul ebp, edi, 0x9e3779b1
    add ebp, [0x1020]       ; seed
    lock inc dword [STARTED]
    test edi, edi
    jnz main
    mov ecx, 0x830
    mov eax, 0xc4500        ; INIT to all but self
    xor edx, edx
    wrmsr
    mov eax, 0xc4608        ; SIPI 8
    wrmsr
    wrmsr
main:
    imul ebp, ebp, 1664525
    add ebp, 1013904223
    mov eax, ebp
    shr eax, 24
    and al, 15
    sti
    cmp al, 4
    jb enter
    je one
    cmp al, 5
    je nmi_one
    cmp al, 6
    je sleep
    cmp al, 7
    je spin
    cmp al, 8
    je broadcast
    cmp al, 9
    je patch
    cmp al, 10
    je watch
    cmp al, 11
    je touch
    cmp al, 12
    je lowest
    jmp main
enter:
    mov eax, 1
.try:
    xchg eax, [LOCKV]
    test eax, eax
    jz .in
.wait:
    pause
    cmp dword [LOCKV], 0
    jne .wait
    mov eax, 1
    jmp .try
.in:
    rdtsc
    cmp edx, [LASTTSC+4]
    jb .back
    ja .fine
    cmp eax, [LASTTSC]
    jae .fine
.back:
    inc dword [ERRORS]
.fine:
    mov [LASTTSC], eax
    mov [LASTTSC+4], edx
    mov eax, [COUNT]
    mov bx, ax
    and bx, 0xff
    mov dx, di
    mov [RING+bx], dl
    call value
    inc eax
    mov [COUNT], eax
    mov dword [LOCKV], 0
    jmp main
one:
    mov edx, ebp
    shr edx, 28
    and edx, 3
    mov eax, 0x4040
    mov ecx, 0x830
    wrmsr
    jmp main
nmi_one:
    mov edx, ebp
    shr edx, 28
    and edx, 3
    mov eax, 0x4400
    mov ecx, 0x830
    wrmsr
    jmp main
sleep:
    mov eax, ebp
    shr eax, 20
    inc eax
    xor edx, edx
    mov ecx, 0x838
    cli
    wrmsr
    sti
    hlt
    jmp main
spin:
    mov cx, bp
    and cx, 0x1ff
    inc cx
.l: loop .l
    jmp main
broadcast:
    xor edx, edx
    mov eax, 0xc4042
    mov ecx, 0x830
    wrmsr
    jmp main
lowest:
    mov edx, 0xf
    mov eax, 0x4943          ; lowest priority, logical, vector 43h
    mov ecx, 0x830
    wrmsr
    jmp main
patch:
    mov eax, ebp
    mov [0x8000 + patched], al
    jmp main
watch:
    mov eax, ebp
    shr eax, 18
    inc eax
    xor edx, edx
    mov ecx, 0x838
    wrmsr
    mov eax, FLAG
    xor ecx, ecx
    xor edx, edx
    monitor
    xor eax, eax
    mwait
    jmp main
touch:
    inc dword [FLAG]
    jmp main
value:
    mov bl, 0
patched equ $-1
    add [0x1024], bl
    ret
handler:                    ; 40h-43h
    push eax
    push ecx
    push edx
    lock inc dword [IPIS]
    xor eax, eax
    xor edx, edx
    mov ecx, 0x80b
    wrmsr
    pop edx
    pop ecx
    pop eax
    iret
nmi:
    lock inc dword [NMIS]
    iret
