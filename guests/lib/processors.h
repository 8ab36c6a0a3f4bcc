/* More than one processor: who is there, and a function for one of them to run. There are two stacks for them. */
#ifndef PROCESSORS_H
#define PROCESSORS_H

#include "guest.h"

enum { MAX_PROCESSORS = 64 };
extern unsigned processor_count;            /* of the others, without the one that starts them */
extern u8 processor_ids[MAX_PROCESSORS];    /* their local APICs' identifiers */

/* Starts all others once, so that they make themselves known, and leaves them halted; `wait` takes about 10 ms. */
void find_processors(void (*wait)(void));
/* INIT and SIPI for one of them: on stack 0 or 1 it runs the function in 64-bit mode, with this IDT, interrupts off, and halts behind it. */
void start_processor(u8 id, unsigned stack, void (*function)(void), void (*wait)(void));
bool processor_is_done(unsigned stack);

#endif
