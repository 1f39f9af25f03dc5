#define _GNU_SOURCE
#include "seal.h"

#include "control.h"
#include "core.h"
#include "frames.h"
#include "message.h"
#include "seal_calls.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* --- the Python stack ------------------------------------------------------------------------------------- */

#define MOST_FRAMES 100

static void add_frame(message *m, const frame *f)
{
    PyCodeObject *code = frames_code(f);
    message_add(m, "\n  File \"");
    message_add_str(m, code->co_filename);
    message_add(m, "\", line %d, in ", frames_line(f));
    message_add_str(m, code->co_qualname);
}

/* Innermost last; of a deep stack only the inner part. */
static void add_stack(message *m)
{
    const frame *frames[MOST_FRAMES];
    size_t n = 0, outer = 0;
    for (const frame *f = frames_current(); f; f = frames_caller(f)) {
        if (n < MOST_FRAMES)
            frames[n++] = f;
        else
            outer++;
    }
    message_add(m, n ? "\nPython stack, innermost last:" : "\nNo Python code was running.");
    if (outer)
        message_add(m, "\n  (%zu outer frames)", outer);
    while (n > 0)
        add_frame(m, frames[--n]);
}

void seal_caught(const char *what)
{
    static char bytes[1 << 15];
    message m = message_in(bytes, sizeof bytes);
    ticks_hide();
    message_add(&m, "The replay was stopped by its seal: the program makes the system call %s, which was not recorded"
                    " because it comes from an extension that Retroscope does not know.", what);
    add_stack(&m);
    control_sealed(bytes);
}

void seal_cannot(const char *what)
{
    static char bytes[1 << 15];
    message m = message_in(bytes, sizeof bytes);
    ticks_hide();
    message_add(&m, "The replay was stopped by its seal: an extension of the program %s, which is not recorded.", what);
    add_stack(&m);
    control_sealed(bytes);
}

/* --- the trap ------------------------------------------------------------------------------------------------ */

/* The registers of an interrupted system call. */
static long call_argument(const ucontext_t *context, unsigned i)
{
#if defined(__x86_64__)
    static const int registers[] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
    return (long)context->uc_mcontext.gregs[registers[i]];
#else
    return (long)context->uc_mcontext.regs[i];
#endif
}

static void set_result(ucontext_t *context, long value)
{
#if defined(__x86_64__)
    context->uc_mcontext.gregs[REG_RAX] = value;
#else
    context->uc_mcontext.regs[0] = (unsigned long long)value;
#endif
}

/* The kernel reads the path first: a bad pointer must not crash the one that reports it. */
static void add_path(message *m, long argument)
{
    const char *path = (const char *)argument;
    if (access(path, F_OK) < 0 && errno == EFAULT)
        message_add(m, "a bad pointer");
    else
        message_add(m, "\"%.*s\"", 1024, path);
}

static void add_family(message *m, long family)
{
    static const struct {
        int number;
        const char *name;
    } families[] = {{AF_UNIX, "AF_UNIX"}, {AF_INET, "AF_INET"}, {AF_INET6, "AF_INET6"}, {AF_NETLINK, "AF_NETLINK"},
                    {AF_PACKET, "AF_PACKET"}, {AF_VSOCK, "AF_VSOCK"}};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (families[i].number == (int)family) {
            message_add(m, "%s", families[i].name);
            return;
        }
    }
    message_add(m, "address family %ld", family);
}

/* "openat("/tmp/x")" and the like. */
static void describe(message *m, const siginfo_t *info, const ucontext_t *context)
{
    const sealed_call *call = seal_find(info->si_syscall);
    if (!call) {
        message_add(m, "number %d", info->si_syscall);
        return;
    }
    message_add(m, "%s(", call->name);
    if (call->shown == SHOW_PATH_0 || call->shown == SHOW_PATH_1)
        add_path(m, call_argument(context, call->shown == SHOW_PATH_1));
    else if (call->shown == SHOW_FAMILY)
        add_family(m, call_argument(context, 0));
    message_add(m, ")");
}

/* The signal that the program sends to itself, as abort() does, or 0. */
static int own_signal(const siginfo_t *info, const ucontext_t *context)
{
    const sealed_call *call = seal_find(info->si_syscall);
    if (!call || call->shown != SHOW_SIGNAL || call_argument(context, 0) != getpid())
        return 0;
    bool has_thread = info->si_syscall == SYS_tgkill || info->si_syscall == SYS_rt_tgsigqueueinfo;
    return (int)call_argument(context, has_thread ? 2 : 1);
}

static bool is_deadly(int number)
{
    return number == SIGABRT || number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL ||
           number == SIGKILL;
}

static void on_trap(int Py_UNUSED(number), siginfo_t *info, void *where)
{
    ucontext_t *context = where;
    int saved = errno;
    int signal_number = own_signal(info, context);
    if (is_deadly(signal_number))
        control_killed(signal_number);
    if (!core_looking && !ticks_hidden) {
        static char bytes[2048];
        message what = message_in(bytes, sizeof bytes);
        describe(&what, info, context);
        seal_caught(bytes);
    }
    set_result(context, -EPERM);
    errno = saved;
}

/* --- applying it -------------------------------------------------------------------------------------------- */

const char *seal_missing_text(void)
{
    return "This system offers no seccomp filter, so the replay is not sealed: what an unknown extension does is done.";
}

int seal_apply(void)
{
    static struct sock_filter instructions[SEAL_FILTER_MOST];
    struct sock_fprog program = {.filter = instructions, .len = seal_filter(instructions)};
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(SIGSYS, &action, NULL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return SEAL_MISSING;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? SEAL_APPLIED : SEAL_MISSING;
}
