/* process_crash.c -- the signal handlers. Memory may be damaged when they run: until the stack trace is written they
 * use only the stack, write(), and what the C library needs for a backtrace.
 *
 * The parts of the report are written to a descriptor: the log's, or, if the log is structured, that of a file in
 * memory, which relay() carries over to the log as messages after each part. So the log has the parts before one that
 * crashes itself, in both cases. */
#include "server/process/process_crash.h"

#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "server/process/process.h"

enum { CRASH_STACK_BYTES = 64 * 1024, CRASH_FRAMES_MAX = 100, CRASH_REPORT_SECONDS = 5 };

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct {
    struct process_crash_hooks hooks;
    volatile sig_atomic_t signal;               /* that is being reported; 0: none */
    volatile sig_atomic_t relaying;             /* set while relay() runs: it must not run inside itself */
    int log_fd, report_fd;                      /* equal if the log is not structured */
    off_t relayed;                              /* bytes of report_fd that are in the log */
    char text[2 * LOG_CRASH_LINE_MAX];          /* of relay() */
    _Alignas(64) char stack[CRASH_STACK_BYTES]; /* of the handlers: the usual one may have overflowed */
} crash;

static void say(int fd, const char *fmt, ...) PRINTF(2, 3);
static void say(int fd, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n < 0) return;
    size_t len = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    ssize_t ignored = write(fd, line, len); /* there is nowhere to report an error */
    (void)ignored;
}

static const char *signal_name(int sig)
{
    const char *name = sigabbrev_np(sig);
    return name != NULL ? name : "?";
}

static void say_cause(int fd, int sig, const siginfo_t *info)
{
    say(fd, "%d: Lockstep %s (Redis %s) crashed by signal: %d (SIG%s), si_code: %d\n", (int)getpid(), LOCKSTEP_VERSION,
        LOCKSTEP_REDIS_VERSION, sig, signal_name(sig), info->si_code);
    if (info->si_code <= 0)
        say(fd, "Killed by PID: %d, UID: %d\n", (int)info->si_pid, (int)info->si_uid);
    else if (sig == SIGSEGV || sig == SIGBUS)
        say(fd, "Accessing address: %p\n", info->si_addr);
}

static void *instruction_of(const ucontext_t *uc)
{
#if defined(__x86_64__)
    return (void *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)uc->uc_mcontext.pc;
#else
    return NULL;
#endif
}

static void say_stack(int fd, const ucontext_t *uc)
{
    void *frames[CRASH_FRAMES_MAX];
    void *at = instruction_of(uc);
    say(fd, "\n------ STACK TRACE ------\n");
    if (at != NULL) {
        say(fd, "EIP:\n");
        backtrace_symbols_fd(&at, 1, fd);
    }
    say(fd, "\nBacktrace:\n");
    int count = backtrace(frames, CRASH_FRAMES_MAX);
    backtrace_symbols_fd(frames, count, fd);
}

static void say_registers(int fd, const ucontext_t *uc)
{
    say(fd, "\n------ REGISTERS ------\n");
#if defined(__x86_64__)
    static const struct {
        const char *name;
        int index;
    } regs[] = {{"RAX", REG_RAX}, {"RBX", REG_RBX}, {"RCX", REG_RCX}, {"RDX", REG_RDX}, {"RDI", REG_RDI},
                {"RSI", REG_RSI}, {"RBP", REG_RBP}, {"RSP", REG_RSP}, {"R8", REG_R8},   {"R9", REG_R9},
                {"R10", REG_R10}, {"R11", REG_R11}, {"R12", REG_R12}, {"R13", REG_R13}, {"R14", REG_R14},
                {"R15", REG_R15}, {"RIP", REG_RIP}, {"EFL", REG_EFL}};
    for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
        say(fd, "%s:%016llx%s", regs[i].name, (unsigned long long)uc->uc_mcontext.gregs[regs[i].index],
            i % 4 == 3 ? "\n" : " ");
    say(fd, "\n");
#else
    say(fd, "not printed on this kind of processor\n");
#endif
}

static void say_build(int fd)
{
    char build[PROCESS_BUILD_ID_CHARS + 1], allocator[64];
    struct utsname host;
    process_build_id(build);
    process_allocator(allocator, sizeof(allocator));
    say(fd, "\n------ BUILD ------\nlockstep_version:%s\nredis_version:%s\nbuild_id:%s\nmem_allocator:%s\n",
        LOCKSTEP_VERSION, LOCKSTEP_REDIS_VERSION, build, allocator);
    if (uname(&host) == 0) say(fd, "os:%s %s %s\n", host.sysname, host.release, host.machine);
    say(fd, "unix_time:%lld\n", (long long)time(NULL));
}

static void die_of(int sig)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t only;
    sigaction(sig, &plain, NULL);
    sigemptyset(&only);
    sigaddset(&only, sig);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    raise(sig);
    _exit(128 + sig);
}

/* ---- To the log ---- */

static void open_report(void)
{
    crash.log_fd = log_fd_for_crash(crash.hooks.log);
    crash.report_fd = log_is_structured(crash.hooks.log) ? memfd_create("crash-report", MFD_CLOEXEC) : crash.log_fd;
    if (crash.report_fd == -1) crash.report_fd = crash.log_fd; /* a report in the wrong format is better than none */
}

/* Writes the whole lines that the report has got since the last time to a structured log. */
static void relay(void)
{
    if (crash.report_fd == crash.log_fd || crash.relaying) return;
    crash.relaying = 1;
    for (;;) {
        ssize_t n = pread(crash.report_fd, crash.text, sizeof(crash.text), crash.relayed);
        size_t done = n > 0 ? log_crash_lines(crash.hooks.log, crash.log_fd, crash.text, (size_t)n) : 0;
        if (done == 0) break;
        crash.relayed += (off_t)done;
    }
    crash.relaying = 0;
}

/* The report itself has crashed or takes too long: ends the process. */
static void on_second_signal(int sig)
{
    (void)sig;
    if (crash.report_fd != crash.log_fd) say(crash.report_fd, "\n"); /* ends the line that it was in */
    relay();
    die_of(crash.signal);
}

static void guard_rest_of_report(void)
{
    struct sigaction second = {.sa_handler = on_second_signal, .sa_flags = SA_NODEFER};
    for (size_t i = 0; i < sizeof(crash_signals) / sizeof(crash_signals[0]); i++)
        sigaction(crash_signals[i], &second, NULL);
    sigaction(SIGALRM, &second, NULL);
    alarm(CRASH_REPORT_SECONDS);
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    if (crash.signal != 0) die_of(sig);
    crash.signal = sig;
    guard_rest_of_report();
    open_report();
    int fd = crash.report_fd;
    say(fd, "\n\n=== REDIS BUG REPORT START: cut and paste from here (this is Lockstep, not Redis) ===\n");
    say_cause(fd, sig, info);
    relay();
    say_stack(fd, uc);
    relay();
    say_registers(fd, uc);
    say_build(fd);
    relay();
    if (crash.hooks.report != NULL) {
        say(fd, "\n------ SERVER ------\n");
        crash.hooks.report(crash.hooks.ctx, fd);
    }
    say(fd,
        "\n=== REDIS BUG REPORT END. Please report it to the makers of Lockstep with what the server was doing. ===\n");
    relay();
    die_of(sig);
}

void process_crash_install(const struct process_crash_hooks *hooks, bool enabled)
{
    if (hooks != NULL) crash.hooks = *hooks;
    void *frame;
    backtrace(&frame, 1); /* the first call loads a library: do it before a crash */
    stack_t stack = {.ss_sp = crash.stack, .ss_size = sizeof(crash.stack)};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_flags = SA_NODEFER | SA_RESETHAND | SA_SIGINFO | SA_ONSTACK,
                               .sa_sigaction = on_crash};
    if (!enabled) action = (struct sigaction){.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(crash_signals) / sizeof(crash_signals[0]); i++)
        sigaction(crash_signals[i], &action, NULL);
}
