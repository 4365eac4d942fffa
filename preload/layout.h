/* Offsets that entry.S and the C code share; check.c asserts them against the structures. */
#ifndef PINION_PRELOAD_LAYOUT_H
#define PINION_PRELOAD_LAYOUT_H

/* struct registers */
#define REGISTERS_RBX 0
#define REGISTERS_RBP 8
#define REGISTERS_R12 16
#define REGISTERS_R13 24
#define REGISTERS_R14 32
#define REGISTERS_R15 40
#define REGISTERS_RDI 48
#define REGISTERS_RSI 56
#define REGISTERS_RDX 64
#define REGISTERS_RCX 72
#define REGISTERS_R8 80
#define REGISTERS_R9 88
#define REGISTERS_RAX 96
#define REGISTERS_R10 104
#define REGISTERS_SPELLING 112
#define REGISTERS_BELOW_SPELLING 112
#define REGISTERS_BYTES 120 /* up to the return address */

/* struct thread_slot */
#define SLOT_BUDGET 0
#define SLOT_COUNTS 8

/* In registers.spelling, where bits 16 to 30 hold the API: the slot's budget is spent; r10 tells which slot. */
#define SPENT 0x80000000
#define API_BITS 0x7fff

#endif
