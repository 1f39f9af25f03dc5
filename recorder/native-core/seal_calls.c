#define _GNU_SOURCE
#include "seal_calls.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the seal knows x86-64 and arm64"
#endif

#define CALL(name, shown) {SYS_##name, #name, shown}

/* Newer than the C library's headers may be; from 424 on the numbers are the same everywhere. */
#define NEWER(number, name, shown) {number, #name, shown}

/* What comes after this number did not exist when the lists below were made: it fails with ENOSYS. */
#define NEWEST 462

/* Always trapped. */
static const sealed_call sealed[] = {
    CALL(socket, SHOW_FAMILY), CALL(connect, SHOW_NOTHING), CALL(bind, SHOW_NOTHING), CALL(listen, SHOW_NOTHING),
    CALL(accept, SHOW_NOTHING), CALL(accept4, SHOW_NOTHING),
    NEWER(437, openat2, SHOW_PATH_1), CALL(unlinkat, SHOW_PATH_1), CALL(renameat2, SHOW_PATH_1),
    CALL(mkdirat, SHOW_PATH_1), CALL(linkat, SHOW_PATH_1), CALL(symlinkat, SHOW_PATH_0), CALL(mknodat, SHOW_PATH_1),
    CALL(fchmod, SHOW_NOTHING), CALL(fchmodat, SHOW_PATH_1), CALL(fchown, SHOW_NOTHING), CALL(fchownat, SHOW_PATH_1),
    CALL(truncate, SHOW_PATH_0), /* not ftruncate, fallocate: what is open for writing is in memory */
    CALL(utimensat, SHOW_PATH_1), CALL(setxattr, SHOW_PATH_0), CALL(lsetxattr, SHOW_PATH_0),
    CALL(fsetxattr, SHOW_NOTHING), CALL(removexattr, SHOW_PATH_0), CALL(lremovexattr, SHOW_PATH_0),
    CALL(fremovexattr, SHOW_NOTHING),
    CALL(execve, SHOW_PATH_0), CALL(execveat, SHOW_PATH_1),
    CALL(kill, SHOW_SIGNAL), CALL(tkill, SHOW_SIGNAL), CALL(tgkill, SHOW_SIGNAL), CALL(rt_sigqueueinfo, SHOW_SIGNAL),
    CALL(rt_tgsigqueueinfo, SHOW_SIGNAL), NEWER(424, pidfd_send_signal, SHOW_NOTHING),
    NEWER(434, pidfd_open, SHOW_NOTHING), NEWER(438, pidfd_getfd, SHOW_NOTHING),
    CALL(ptrace, SHOW_NOTHING), CALL(process_vm_readv, SHOW_NOTHING), CALL(process_vm_writev, SHOW_NOTHING),
    NEWER(440, process_madvise, SHOW_NOTHING), CALL(bpf, SHOW_NOTHING), CALL(perf_event_open, SHOW_NOTHING),
    CALL(userfaultfd, SHOW_NOTHING), NEWER(425, io_uring_setup, SHOW_NOTHING), CALL(io_setup, SHOW_NOTHING),
    CALL(mount, SHOW_PATH_1), CALL(umount2, SHOW_PATH_0), NEWER(428, open_tree, SHOW_NOTHING),
    NEWER(429, move_mount, SHOW_NOTHING), NEWER(430, fsopen, SHOW_NOTHING), NEWER(431, fsconfig, SHOW_NOTHING),
    NEWER(432, fsmount, SHOW_NOTHING), NEWER(433, fspick, SHOW_NOTHING),
    CALL(pivot_root, SHOW_NOTHING), CALL(chroot, SHOW_PATH_0), CALL(unshare, SHOW_NOTHING), CALL(setns, SHOW_NOTHING),
    CALL(setuid, SHOW_NOTHING), CALL(setgid, SHOW_NOTHING), CALL(setreuid, SHOW_NOTHING), CALL(setregid, SHOW_NOTHING),
    CALL(setresuid, SHOW_NOTHING), CALL(setresgid, SHOW_NOTHING), CALL(setfsuid, SHOW_NOTHING),
    CALL(setfsgid, SHOW_NOTHING), CALL(setgroups, SHOW_NOTHING), CALL(capset, SHOW_NOTHING),
    CALL(personality, SHOW_NOTHING), CALL(setpriority, SHOW_NOTHING), CALL(setpgid, SHOW_NOTHING),
    CALL(reboot, SHOW_NOTHING), CALL(swapon, SHOW_PATH_0), CALL(swapoff, SHOW_PATH_0), CALL(acct, SHOW_PATH_0),
    CALL(sethostname, SHOW_NOTHING), CALL(setdomainname, SHOW_NOTHING), CALL(settimeofday, SHOW_NOTHING),
    CALL(clock_settime, SHOW_NOTHING), CALL(adjtimex, SHOW_NOTHING), CALL(clock_adjtime, SHOW_NOTHING),
    CALL(init_module, SHOW_NOTHING), CALL(finit_module, SHOW_NOTHING), CALL(delete_module, SHOW_NOTHING),
    CALL(kexec_load, SHOW_NOTHING), CALL(quotactl, SHOW_NOTHING), CALL(syslog, SHOW_NOTHING),
    CALL(add_key, SHOW_NOTHING), CALL(request_key, SHOW_NOTHING), CALL(keyctl, SHOW_NOTHING),
    CALL(shmget, SHOW_NOTHING), CALL(semget, SHOW_NOTHING), CALL(msgget, SHOW_NOTHING), CALL(mq_open, SHOW_PATH_0),
    CALL(mq_unlink, SHOW_PATH_0), CALL(open_by_handle_at, SHOW_NOTHING), CALL(fanotify_init, SHOW_NOTHING),
    CALL(vhangup, SHOW_NOTHING), CALL(migrate_pages, SHOW_NOTHING), CALL(move_pages, SHOW_NOTHING),
    CALL(ioprio_set, SHOW_NOTHING), NEWER(442, mount_setattr, SHOW_NOTHING), NEWER(443, quotactl_fd, SHOW_NOTHING),
    NEWER(448, process_mrelease, SHOW_NOTHING), NEWER(452, fchmodat2, SHOW_PATH_1),
#ifdef SYS_renameat
    CALL(renameat, SHOW_PATH_1),
#endif
#ifdef SYS_kexec_file_load
    CALL(kexec_file_load, SHOW_NOTHING),
#endif
#ifdef __x86_64__
    CALL(creat, SHOW_PATH_0), CALL(unlink, SHOW_PATH_0), CALL(rename, SHOW_PATH_0), CALL(mkdir, SHOW_PATH_0),
    CALL(rmdir, SHOW_PATH_0), CALL(link, SHOW_PATH_0), CALL(symlink, SHOW_PATH_0), CALL(mknod, SHOW_PATH_0),
    CALL(chmod, SHOW_PATH_0), CALL(chown, SHOW_PATH_0), CALL(lchown, SHOW_PATH_0), CALL(utime, SHOW_PATH_0),
    CALL(utimes, SHOW_PATH_0), CALL(futimesat, SHOW_PATH_1), CALL(fork, SHOW_NOTHING), CALL(vfork, SHOW_NOTHING),
    CALL(iopl, SHOW_NOTHING), CALL(ioperm, SHOW_NOTHING), CALL(modify_ldt, SHOW_NOTHING), CALL(uselib, SHOW_PATH_0),
#endif
};

/* Refused if any bit of `value` is in the argument's low half, or with `equal` if that is `value`. */
typedef struct {
    sealed_call call;
    unsigned argument;
    uint32_t value;
    int equal;
    int error;  /* not trapped but failed with this */
} guarded_call;

#define OPEN_WRITES ((uint32_t)(O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY)))

/* Calls guarded more than once stand together. Threads, and children that share memory, are made with all signals
 * blocked, and a blocked trap kills: they fail instead. */
static const guarded_call guarded[] = {
    {CALL(openat, SHOW_PATH_1), 2, OPEN_WRITES, 0},
#ifdef __x86_64__
    {CALL(open, SHOW_PATH_0), 1, OPEN_WRITES, 0},
#endif
    {CALL(clone, SHOW_NOTHING), 0, CLONE_VM, 0, EAGAIN},
    {CALL(ioctl, SHOW_NOTHING), 1, TIOCSTI, 1},   /* types into the user's terminal */
    {CALL(ioctl, SHOW_NOTHING), 1, TIOCLINUX, 1},
    {CALL(prctl, SHOW_NOTHING), 0, PR_SET_MM, 1},
    {CALL(prctl, SHOW_NOTHING), 0, PR_SET_PTRACER, 1},
    {CALL(prctl, SHOW_NOTHING), 0, PR_SET_SECUREBITS, 1},
    {CALL(prctl, SHOW_NOTHING), 0, PR_SET_CHILD_SUBREAPER, 1},
    {CALL(fcntl, SHOW_NOTHING), 1, F_SETOWN, 1},  /* would have the kernel send signals to another process */
    {CALL(fcntl, SHOW_NOTHING), 1, F_SETOWN_EX, 1},
    {CALL(prlimit64, SHOW_NOTHING), 0, UINT32_MAX, 0},  /* of another process; 0 is this one */
    {CALL(sched_setaffinity, SHOW_NOTHING), 0, UINT32_MAX, 0},
    {CALL(sched_setscheduler, SHOW_NOTHING), 0, UINT32_MAX, 0},
    {CALL(sched_setparam, SHOW_NOTHING), 0, UINT32_MAX, 0},
    {CALL(sched_setattr, SHOW_NOTHING), 0, UINT32_MAX, 0},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

const sealed_call *seal_find(int number)
{
    for (size_t i = 0; i < COUNT(sealed); i++) {
        if (sealed[i].number == number)
            return &sealed[i];
    }
    for (size_t i = 0; i < COUNT(guarded); i++) {
        if (guarded[i].call.number == number)
            return &guarded[i].call;
    }
    return NULL;
}

typedef struct {
    struct sock_filter *out;
    unsigned short n;
} filter_writer;

static void emit(filter_writer *w, struct sock_filter instruction)
{
    w->out[w->n++] = instruction;
}

static void emit_return(filter_writer *w, uint32_t verdict)
{
    emit(w, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void emit_load(filter_writer *w, size_t offset)
{
    emit(w, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Goes on with the next instruction if the accumulator fits, else skips one. */
static void emit_if(filter_writer *w, uint16_t test, uint32_t value)
{
    emit(w, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, 1));
}

/* All guards of the call of guarded[i]; returns the index after them. */
static size_t emit_guards(filter_writer *w, size_t i)
{
    int number = guarded[i].call.number;
    emit(w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 0));
    unsigned short jump = (unsigned short)(w->n - 1);
    for (; i < COUNT(guarded) && guarded[i].call.number == number; i++) {
        emit_load(w, offsetof(struct seccomp_data, args) + 8 * guarded[i].argument);
        emit_if(w, guarded[i].equal ? BPF_JEQ : BPF_JSET, guarded[i].value);
        emit_return(w, guarded[i].error ? SECCOMP_RET_ERRNO | (uint32_t)guarded[i].error : SECCOMP_RET_TRAP);
    }
    emit_return(w, SECCOMP_RET_ALLOW);
    w->out[jump].jf = (uint8_t)(w->n - jump - 1);
    return i;
}

unsigned short seal_filter(struct sock_filter out[SEAL_FILTER_MOST])
{
    filter_writer w = {.out = out};
    _Static_assert(2 * COUNT(sealed) + 6 * COUNT(guarded) + 16 < SEAL_FILTER_MOST, "the filter fits");
    emit_load(&w, offsetof(struct seccomp_data, arch));
    emit(&w, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0));
    emit_return(&w, SECCOMP_RET_KILL_PROCESS);
    emit_load(&w, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    emit_if(&w, BPF_JGE, 0x40000000);  /* the x32 numbers: another way to the same calls */
    emit_return(&w, SECCOMP_RET_KILL_PROCESS);
#endif
    emit_if(&w, BPF_JEQ, 435);  /* clone3: its flags are in memory; the C library falls back to clone */
    emit_return(&w, SECCOMP_RET_ERRNO | ENOSYS);
    emit_if(&w, BPF_JGT, NEWEST);
    emit_return(&w, SECCOMP_RET_ERRNO | ENOSYS);
    for (size_t i = 0; i < COUNT(guarded);)
        i = emit_guards(&w, i);
    for (size_t i = 0; i < COUNT(sealed); i++) {
        emit_if(&w, BPF_JEQ, (uint32_t)sealed[i].number);
        emit_return(&w, SECCOMP_RET_TRAP);
    }
    emit_return(&w, SECCOMP_RET_ALLOW);
    return w.n;
}
