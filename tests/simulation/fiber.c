#include "tests/simulation/fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { GUARD_BYTES = 4096, NESTING_MAX = 16 };

static struct fiber_stack *unused;

/* Who has to be continued when the innermost fiber leaves. */
static struct {
    struct fiber_stack *running;
    void *saved; /* of whoever entered it */
    void *fake;
    const void *bottom;
    size_t size;
} entered[NESTING_MAX];
static int depth;

static struct {
    void (*fn)(void *ctx);
    void *ctx;
} start;

/* Saves the registers that a call preserves, stores the stack pointer in *from, and continues at `to`. */
void fiber_switch(void **from, void *to);
#if defined(__x86_64__)
__asm__(".text\n"
        ".type fiber_switch, @function\n"
        "fiber_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size fiber_switch, .-fiber_switch\n");
enum { SAVED_WORDS = 7 };
#elif defined(__aarch64__)
__asm__(".text\n"
        ".type fiber_switch, %function\n"
        "fiber_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x2, sp\n    str x2, [x0]\n    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n    ret\n"
        ".size fiber_switch, .-fiber_switch\n");
#else
#error "fiber_switch() has to be written for this machine"
#endif

static void begin(void)
{
    void (*fn)(void *) = start.fn;
    void *ctx = start.ctx;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, &entered[depth - 1].bottom, &entered[depth - 1].size);
#endif
    fn(ctx);
    fiber_leave(1);
    abort(); /* not reached */
}

static struct fiber_stack *make_stack(void)
{
    struct fiber_stack *s = calloc(1, sizeof(*s));
    char *memory = mmap(NULL, GUARD_BYTES + FIBER_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s == NULL || memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
        fprintf(stderr, "no memory for a stack\n");
        abort();
    }
    s->memory = memory + GUARD_BYTES;
    return s;
}

/* Lays the stack out as fiber_switch() leaves one, with begin() to return to. */
static void prepare(struct fiber_stack *s)
{
    uintptr_t *top = (uintptr_t *)(s->memory + FIBER_STACK_BYTES);
#if defined(__x86_64__)
    *--top = 0; /* keeps the stack aligned as after a call */
    *--top = (uintptr_t)begin;
    for (int i = 0; i < 6; i++) *--top = 0;
#else
    top -= 20;
    for (int i = 0; i < 20; i++) top[i] = 0;
    top[11] = (uintptr_t)begin; /* x30 */
#endif
    s->saved = top;
}

/* What a fiber starts with lies at the bottom of its stack until it is entered for the first time. */
struct first_call {
    void (*fn)(void *ctx);
    void *ctx;
};

struct fiber_stack *fiber_stack_take(void (*entry)(void *ctx), void *ctx)
{
    struct fiber_stack *s = unused;
    if (s != NULL)
        unused = s->next;
    else
        s = make_stack();
    s->next = NULL;
    s->fake = NULL;
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(s->memory, FIBER_STACK_BYTES); /* from the frames of a fiber that was dropped */
#endif
    prepare(s);
    *(struct first_call *)s->memory = (struct first_call){entry, ctx};
    return s;
}

void fiber_stack_give_back(struct fiber_stack *s)
{
    s->next = unused;
    unused = s;
}

void fiber_enter(struct fiber_stack *to)
{
    struct first_call *first = (struct first_call *)to->memory;
    if (depth == NESTING_MAX) abort();
    if (first->fn != NULL) {
        start.fn = first->fn;
        start.ctx = first->ctx;
        first->fn = NULL;
    }
    int mine = depth++;
    entered[mine].running = to;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&entered[mine].fake, to->memory, FIBER_STACK_BYTES);
#endif
    fiber_switch(&entered[mine].saved, to->saved);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(entered[mine].fake, NULL, NULL);
#endif
}

void fiber_leave(int for_ever)
{
    int mine = --depth;
    struct fiber_stack *self = entered[mine].running;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(for_ever ? NULL : &self->fake, entered[mine].bottom, entered[mine].size);
#else
    (void)for_ever;
#endif
    fiber_switch(&self->saved, entered[mine].saved);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self->fake, &entered[depth - 1].bottom, &entered[depth - 1].size);
#endif
}
