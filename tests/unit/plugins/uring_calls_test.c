/* SPDX-License-Identifier: MIT */
/* Which system calls the runtime makes, and how many: counted by ptrace, in a child, between two
 * calls that mark a window. Everything else that the child does lies outside the windows. */
#include "uring_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK SYS_getppid /* which nothing else here calls */
#define CALLS_MAX 1024

struct tally {
    unsigned total;
    unsigned of[CALLS_MAX];
};

static void mark(void)
{
    syscall(MARK);
}

#ifdef __x86_64__
static long call_number(pid_t child)
{
    struct user_regs_struct regs;
    return ptrace(PTRACE_GETREGS, child, NULL, &regs) < 0 ? -1 : (long)regs.orig_rax;
}
#else
static long call_number(pid_t child)
{
    struct __ptrace_syscall_info info;
    long bytes = ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    return bytes > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY ? (long)info.entry.nr : -1;
}
#endif

/* An allocator's own business (a sanitizer's, say) is not the runtime's. */
static bool is_memory(long number)
{
    return number == SYS_mmap || number == SYS_munmap || number == SYS_madvise ||
           number == SYS_brk || number == SYS_mprotect;
}

/* Follow the child to its end and count the calls inside its windows. */
static void follow(pid_t child, struct tally *tally)
{
    bool inside = false, entering = true;
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    int deliver = 0;
    for (;;) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, deliver), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        deliver = 0;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
            return;
        }
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            deliver = WSTOPSIG(status);
            continue;
        }
        if (entering) {
            long number = call_number(child);
            if (number == MARK) {
                inside = !inside;
            } else if (inside && number >= 0 && number < CALLS_MAX && !is_memory(number)) {
                tally->total++;
                tally->of[number]++;
            }
        }
        entering = !entering;
    }
}

/* Run @work in a traced child. */
static void count(void (*work)(void), struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    pid_t child = tap_fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
            _exit(77);
        }
        raise(SIGSTOP);
        work();
        _exit(0);
    }
    int status;
    /* A place that forbids ptrace ends the child before it stops. */
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WSTOPPED | WNOWAIT), 0);
    if (info.si_code == CLD_EXITED) {
        waitpid(child, &status, 0);
        tap_skip("processes cannot be traced here");
    }
    follow(child, tally);
}

static void must(bool ok)
{
    if (!ok) {
        _exit(1);
    }
}

/* ---- 64 connections, each with one request under way ---- */

enum { STREAMS = 64, ROUNDS = 50, REQUEST = 100, ANSWER = 200 };

static struct rig rig;
static struct aioduct_stream streams[STREAMS];
static bool wants[STREAMS]; /* to send its next request at the end of the turn */
static unsigned answered;
static char request[REQUEST], answer[ANSWER];

static void on_answer(struct aioduct_stream *s)
{
    if (s->bytes == ANSWER) {
        s->bytes = 0;
        wants[s - streams] = true;
        answered++;
    }
}

static void send_requests(struct rig *r)
{
    (void)r;
    for (int i = 0; i < STREAMS; i++) {
        if (wants[i]) {
            struct iovec piece = {request, REQUEST};
            wants[i] = false;
            must(ad_uring_send(streams[i].state, &piece, 1) == AIODUCT_PENDING);
        }
    }
}

static void ping_pong(void)
{
    must(rig_open(&rig, NULL) == 0);
    for (int i = 0; i < STREAMS; i++) {
        rig_connect(&rig, &streams[i]);
        streams[i].on_data = on_answer;
        must(ad_uring_recv_start(streams[i].state) == 0);
        wants[i] = true;
    }
    rig.at_turn_end = send_requests;
    must(ad_uring_turn(rig.u, 0) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < STREAMS; i++) {
            char got[REQUEST];
            must(recv(streams[i].peer, got, REQUEST, MSG_WAITALL) == REQUEST);
            must(send(streams[i].peer, answer, ANSWER, 0) == ANSWER);
        }
        answered = 0;
        mark();
        while (answered < STREAMS) {
            must(ad_uring_turn(rig.u, -1) == 0);
        }
        mark();
    }
}

static void test_ping_pong(void **state)
{
    struct tally tally;
    (void)state;
    count(ping_pong, &tally);
    print_message("%u calls for %d requests\n", tally.total, STREAMS * ROUNDS);
    assert_int_equal(tally.total, tally.of[SYS_io_uring_enter]);
    assert_true(tally.total >= ROUNDS);
    /* One enter fetches what has come, the next one carries the sends and fetches again. */
    assert_true(tally.total * 10 <= STREAMS * ROUNDS);
}

/* ---- tasks and timers on the loop's own thread ---- */

static struct aioduct_task tasks[10];

static int run_wake_next(struct aioduct_task *task)
{
    struct aioduct_task *next = &tasks[(task - tasks + 1) % 10];
    ad_uring_wake(task->rig->u, next, &next->state);
    return 0;
}

static int run_root(struct aioduct_task *task)
{
    ad_uring_wake(task->rig->u, task, &task->state);
    return task->runs == 1000;
}

static void tasks_and_timers(void)
{
    struct aioduct_task root = {.rig = &rig, .run = run_root};
    static struct aioduct_timer timers[100];
    must(rig_open(&rig, NULL) == 0);
    must(ad_uring_turn(rig.u, 0) == 0);
    for (int i = 0; i < 100; i++) { /* the heap grows outside the window */
        timers[i].rig = &rig;
        must(ad_uring_sleep(rig.u, &timers[i], &timers[i].state, UINT64_MAX) == 0);
    }
    mark();
    for (int i = 0; i < 10; i++) {
        tasks[i] = (struct aioduct_task){.rig = &rig, .run = run_wake_next};
        must(ad_uring_spawn_local(rig.u, &tasks[i], &tasks[i].state) == 0);
    }
    for (int i = 0; i < 100; i++) {
        must(ad_uring_sleep(rig.u, &timers[i], &timers[i].state, (uint64_t)i) == 0);
    }
    must(ad_uring_block_on(rig.u, &root, &root.state) == 0);
    mark();
    unsigned runs = 0;
    for (int i = 0; i < 10; i++) {
        runs += tasks[i].runs;
    }
    must(root.runs == 1000 && runs > 900 && timers[99].fired == 1);
}

static void test_tasks_and_timers(void **state)
{
    struct tally tally;
    (void)state;
    count(tasks_and_timers, &tally);
    assert_int_equal(tally.total, 0);
}

/* ---- sleeping ---- */

static void sleep_a_while(void)
{
    struct aioduct_timer timer = {.rig = &rig};
    must(rig_open(&rig, NULL) == 0);
    must(ad_uring_sleep(rig.u, &timer, &timer.state, UINT64_MAX) == 0);
    must(ad_uring_turn(rig.u, 0) == 0);
    must(ad_uring_sleep(rig.u, &timer, &timer.state, ad_uring_now_ns(rig.u) + 50000000) == 0);
    mark();
    while (timer.fired == 0) {
        must(ad_uring_turn(rig.u, -1) == 0);
    }
    mark();
}

static void test_sleeping(void **state)
{
    struct tally tally;
    (void)state;
    count(sleep_a_while, &tally);
    assert_int_equal(tally.of[SYS_io_uring_enter], tally.total);
    assert_in_range(tally.total, 1, 2);
}

static const struct CMUnitTest cases[] = {
    {"64 connections cost a tenth of a system call a request, and only io_uring_enter",
     test_ping_pong, NULL, NULL, NULL},
    {"tasks and due timers cost no system call", test_tasks_and_timers, NULL, NULL, NULL},
    {"a sleep is one wait", test_sleeping, NULL, NULL, NULL},
};

int main(void)
{
    return TAP_RUN(cases, rig_require_uring, NULL);
}
