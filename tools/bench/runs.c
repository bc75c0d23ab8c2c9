/* SPDX-License-Identifier: MIT */
/* Each turn of a runtime is a process of its own, which has nothing of the others in it; what it
 * measures lies in memory that both see. Of several runtimes each has its turn in a round, so that
 * what the machine does meanwhile meets them alike. */
#include "bench.h"
#include "exitcode.h"
#include "pace.h"
#include "plugins_child.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_SECONDS 10 /* a plugin that does not load in this time never will */
#define PROGRESS_MS 200  /* between two pictures of the line */
#define ONE_SIGNAL_NS UINT64_C(300000000)

/* What parent and child share. */
struct shared {
    _Atomic int stop;
    _Atomic uint64_t stopped_ns; /* when the first signal came; 0: none has */
    struct bench_result result;
};

static struct shared *shared; /* for the signal handler; one run at a time */

/* The first ends the run in order; a second one ends us at once, and the child with us. Some tell a
 * process and then its group, as timeout(1) does: what comes so soon is still the first. */
static void on_signal(int number)
{
    uint64_t now_ns = clock_ns(), first_ns = 0;
    if (atomic_compare_exchange_strong(&shared->stopped_ns, &first_ns, now_ns)) {
        atomic_store_explicit(&shared->stop, 1, memory_order_relaxed);
    } else if (now_ns > first_ns + ONE_SIGNAL_NS) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

static void catch_signals(bool on)
{
    struct sigaction action = {.sa_handler = on ? on_signal : SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT); /* one at a time */
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static bool stopped(void)
{
    return atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0;
}

/* ---- progress ---- */

struct progress {
    bool wanted, drawn;
    uint64_t begin_ns;
    uint64_t seen, seen_ns; /* answers when it was last drawn */
};

static void progress_line(struct progress *p, const struct bench_settings *s, size_t runtime,
                          int round, const struct bench_result *total)
{
    if (!p->wanted) {
        return;
    }
    uint64_t now_ns = clock_ns();
    const struct bench_result *r = &shared->result;
    uint64_t turn_done = atomic_load_explicit(&r->done, memory_order_relaxed);
    uint64_t failed = total->failed + atomic_load_explicit(&r->failed, memory_order_relaxed);
    double rate = (double)(turn_done - p->seen) * 1e9 / (double)(now_ns - p->seen_ns + 1);
    const char *name = s->runtimes[runtime];
    fprintf(stderr, "\r\033[K%5.1f s", (double)(now_ns - p->begin_ns) / 1e9);
    if (s->runtime_count > 1 || s->rounds > 1) {
        fprintf(stderr, "  %s, round %d of %d", name != NULL ? name : "bench", round + 1,
                s->rounds);
    }
    fprintf(stderr, "  %" PRIu64 " answers, %.0f/s, %" PRIu64 " failed", total->done + turn_done,
            rate, failed);
    fflush(stderr);
    p->seen = turn_done;
    p->seen_ns = now_ns;
    p->drawn = true;
}

static void progress_clear(struct progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        p->drawn = false;
    }
}

/* ---- one turn ---- */

/* The @round-th part of what all rounds make together. */
static uint64_t part(uint64_t whole, int rounds, int round)
{
    uint64_t each = whole / (unsigned)rounds;
    return each + ((uint64_t)round < whole % (unsigned)rounds ? 1 : 0);
}

static pid_t begin(const struct bench_settings *s, size_t runtime, int round, int *out_end)
{
    int ends[2];
    fflush(NULL); /* else the child has a copy of what waits to be written */
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -1;
    }
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(ends[0]);
        prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0ul, 0ul, 0ul);
        signal(SIGINT, SIG_IGN); /* a group is told as a whole, and the parent says when */
        signal(SIGTERM, SIG_IGN);
        if (getppid() == parent) {
            int duration_ms = (int)part((uint64_t)s->duration_ms, s->rounds, round);
            bench_load(s, s->runtimes[runtime], part(s->requests, s->rounds, round),
                       s->duration_ms > 0 && duration_ms == 0 ? 1 : duration_ms, &shared->stop,
                       &shared->result);
        }
        fflush(NULL);
        _exit(0);
    }
    close(ends[1]); /* the child's end is closed when it is gone, whatever it died of */
    *out_end = ends[0];
    if (child < 0) {
        close(ends[0]);
    }
    return child;
}

static int follow(const struct bench_settings *s, pid_t child, int end, size_t runtime, int round,
                  const struct bench_result *total, struct progress *progress)
{
    int status = 0;
    struct pollfd watched = {.fd = end, .events = POLLIN};
    progress->seen = 0;
    progress->seen_ns = clock_ns();
    for (;;) {
        int ready = poll(&watched, 1, progress->wanted ? PROGRESS_MS : -1);
        if (ready > 0) {
            break;
        }
        progress_line(progress, s, runtime, round, total);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    close(end);
    progress_clear(progress);
    const struct bench_result *r = &shared->result;
    if (WIFSIGNALED(status)) {
        complain(&s->request, "(%d) %s: the process was ended by signal %d (%s)", EXIT_USAGE,
                 r->runtime[0] != '\0' ? r->runtime : "bench", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
        return EXIT_USAGE;
    }
    if (!r->ready) {
        struct aioduct_error error = r->setup;
        return complain_error(&s->request, &error);
    }
    return 0;
}

static void add(struct bench_result *total, const struct bench_result *turn)
{
    total->done += turn->done;
    total->failed += turn->failed;
    total->started += turn->started;
    total->unfinished += turn->unfinished;
    total->not_started += turn->not_started;
    total->body_bytes += turn->body_bytes;
    total->bytes_in += turn->bytes_in;
    total->bytes_out += turn->bytes_out;
    total->dials += turn->dials;
    total->dial_failures += turn->dial_failures;
    total->elapsed_ns += turn->elapsed_ns;
    total->user_ns += turn->user_ns;
    total->system_ns += turn->system_ns;
    for (int i = 0; i < BENCH_ERRORS; i++) {
        total->errors[i] += turn->errors[i];
    }
    for (int i = 0; i < 1000; i++) {
        total->status[i] += turn->status[i];
    }
    memcpy(total->runtime, turn->runtime, sizeof total->runtime);
    if (total->protocol[0] == '\0') {
        memcpy(total->protocol, turn->protocol, sizeof total->protocol);
        memcpy(total->tls_version, turn->tls_version, sizeof total->tls_version);
    }
    if (total->first.code == 0) {
        total->first = turn->first;
    }
    histogram_add(&total->latency, &turn->latency);
}

static int take_turn(const struct bench_settings *s, size_t runtime, int round,
                     struct bench_result *total, struct progress *progress)
{
    int end = -1;
    memset(&shared->result, 0, sizeof shared->result);
    pid_t child = begin(s, runtime, round, &end);
    if (child < 0) {
        complain(&s->request, "(%d) cannot start a process: %s", EXIT_MEMORY, strerror(errno));
        return EXIT_MEMORY;
    }
    int code = follow(s, child, end, runtime, round, total, progress);
    if (code == 0) {
        add(total, &shared->result);
        bench_keep_round(total, &shared->result, round);
    }
    return code;
}

/* ---- all of them ---- */

/* Can each of them run here? Else that would be said when its turn comes. */
static int probe(const struct bench_settings *s)
{
    int code = 0;
    for (size_t i = 0; i < s->runtime_count && s->runtime_count > 1 && code == 0; i++) {
        const struct plugin_question question = {.wanted = s->runtimes[i],
                                                 .timeout_seconds = PROBE_SECONDS};
        const struct plugin_hears nobody = {0};
        struct aioduct_runtime_selection chosen;
        struct aioduct_error error;
        if (plugins_ask(&question, &nobody, NULL, &chosen, &error) < 0) {
            code = complain_error(&s->request, &error);
        }
    }
    return code;
}

int bench_runs(const struct bench_settings *s, struct bench_result *totals, bool *out_interrupted)
{
    struct progress progress = {
        .wanted = isatty(STDERR_FILENO) && !s->request.silent,
        .begin_ns = clock_ns(),
    };
    void *memory =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return EXIT_MEMORY;
    }
    shared = memory;
    int code = probe(s);
    catch_signals(true);
    for (int round = 0; round < s->rounds && code == 0; round++) {
        for (size_t i = 0; i < s->runtime_count && code == 0 && !stopped(); i++) {
            /* Every other round backwards: who comes behind whom is no advantage. */
            size_t runtime = round % 2 == 0 ? i : s->runtime_count - 1 - i;
            code = take_turn(s, runtime, round, &totals[runtime], &progress);
        }
    }
    *out_interrupted = stopped();
    catch_signals(false);
    munmap(memory, sizeof *shared);
    shared = NULL;
    return code;
}
