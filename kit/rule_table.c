/* SPDX-License-Identifier: MIT */
/* Made from docs/CONTRACT.md by kit/index.py --write. */
#include "rules.h"

/* clang-format off */
const struct ct_rule ct_rules[] = {
    {"PL-1",
     "The descriptor has the magic, the major, its size, a name of [a-z0-9_-] up to 32 "
     "bytes, which is also that of the note and of the file",
     "The loader refuses it and names the field"},
    {"PL-2",
     "get_interface compares text, answers one static table each time, and NULL to an id "
     "that it does not know, be it empty, newer or nonsense",
     "The core takes a capability for offered and calls into nothing"},
    {"PL-3",
     "Tables reach at least to the members of minor 0; required members are set; "
     "alignments are powers of two",
     "The loader refuses it and names the member"},
    {"PL-4",
     "A plugin reads no further in a host table than its size, and does not mind a longer "
     "one",
     "It reads another program's memory when it meets an older core"},
    {"PL-5",
     "probe, if there is one, may run at any time, on any thread, any number of times. It "
     "uses alloc, log and option of the host only and leaves no descriptor, thread, "
     "handler, mapping or allocation. 0, or AIODUCT_E_UNAVAILABLE with a reason, or "
     "another negative if it is broken",
     "Listing the runtimes of a machine changes the process that lists them"},
    {"PL-6",
     "No signal handler, no mask, no ignored signal is changed, ever; a mask that keeps "
     "SIGPIPE away inside one call is back when it returns",
     "The application loses its children, or its users their Ctrl-C"},
    {"PL-7",
     "Every descriptor is close-on-exec from its first moment",
     "Connections live on in programs that the application starts"},
    {"PL-8",
     "State is written within its layout only; what came from alloc is given back by the "
     "end of close, by alloc",
     "Memory of others is overwritten; a long-lived process grows"},
    {"PL-9",
     "Out of memory is an error of the call that needed it: nothing was taken, nothing "
     "leaks, nothing was sent in part. Nothing aborts",
     "A full machine kills the process, or sends half a request"},
    {"PL-10",
     "option and get_interface of the host are called before open returns, not later; "
     "each option that the plugin has is asked for, also one that does not apply this time",
     "They read what is gone; the user is told that the plugin has no such option"},
    {"PL-11",
     "log gets one line and a level of AIODUCT_LOG_*; error gets a negative code and says "
     "why",
     "The user sees half a sentence, or none"},
    {"PL-12",
     "A shared object of this machine that loads by its path with RTLD_NOW and has "
     "aioduct_plugin_entry_1. Loading it runs nothing that is seen: no thread, no "
     "descriptor, no signal's handling",
     "The loader refuses it; a program that only lists its runtimes changes"},
    {"PL-13",
     "The file exports its entry alone, and does not need libaioduct: what it needs of "
     "the core comes in the host table",
     "Symbols of two plugins meet; it loads a second core"},
    {"PL-14",
     "The file has one note, which says the same as descriptor and tables: ABI, the minor "
     "that is needed, runtime, poll, local, connector",
     "It is chosen for what it cannot do"},
    {"PL-15",
     "Linked with -z relro, -z now, -z noexecstack; no text relocations, no static "
     "thread-local storage, no run path but below $ORIGIN; its SONAME, if it has one, is "
     "its file's name",
     "It fails late, or in a program with many libraries, or is an attacker's way in"},
    {"RT-1",
     "open answers 0 or a negative code, and then has said why by error, has left "
     "nothing, and close is not called. A foreign loop of a kind that it cannot adopt is "
     "AIODUCT_E_UNSUPPORTED",
     "The client cannot say what is wrong, or leaks"},
    {"RT-2",
     "close gives back all descriptors, threads, mappings and memory, but for what the "
     "loop library opens once in a process, close-on-exec, and keeps for all loops that "
     "follow. Tasks that are still there are dropped without a run; before, the core has "
     "closed each stream and cancelled each timer",
     "A program that makes clients and drops them grows"},
    {"RT-3",
     "Any number of instances live in one process and on one thread; none knows of the "
     "others, and one may run inside a callback of another",
     "Two libraries that use this one cannot live in one program"},
    {"RT-4",
     "The host's [loop] members are called from inside block_on and turn only (of an "
     "adopted loop: also while the application runs it), on their thread, one at a time, "
     "and never from inside another member (send, cancel, spawn, wake, close ...)",
     "The core is entered while its books are open"},
    {"RT-5",
     "block_on runs the root without a wake, then the loop until the root is ready, to "
     "the end of that turn. All else stays for the next call",
     "Work that a blocking call started is lost with it"},
    {"RT-6",
     "block_on and turn inside a callback of the same instance are AIODUCT_E_NESTED and "
     "have no effect",
     "The inner loop runs callbacks in the middle of the outer one"},
    {"RT-7",
     "With aioduct.runtime.poll/1 any thread may drive the loop, one at a time. Without "
     "it, only the one that called open; block_on and turn are AIODUCT_E_THREAD to others",
     "State of one thread is used on two"},
    {"RT-8",
     "A task runs once after its spawn and once after a wake; never without either",
     "A task is asked for what has not happened"},
    {"RT-9",
     "After a wake, from whatever thread, a run starts: any number of wakes since the "
     "last start are one. A wake while the task runs counts, its own too; one before the "
     "first run is that run",
     "A request hangs until something else happens: the worst of bugs, for it is rare"},
    {"RT-10",
     "A task that answered 1 never runs again; a wake of it does nothing. From the next "
     "callback on, and while no wake is under way, its memory may go; the root's when "
     "block_on has returned",
     "Freed memory is run"},
    {"RT-11",
     "A task runs on one thread at a time, a local one always on that of open",
     "Its data needs locks that it does not have"},
    {"RT-12",
     "spawn is legal in every callback; the task runs later, not inside the call. A spawn "
     "that failed took nothing",
     "Recursion, or a task that runs twice"},
    {"RT-13",
     "spawn_send works from every thread, before, during and between turns. spawn_local "
     "from another thread is AIODUCT_E_THREAD",
     "A request from a worker thread is lost, or races"},
    {"RT-14",
     "A task that wakes itself, or another, or spawns its successor, leaves timers and "
     "streams their time: a turn runs a bounded number of tasks",
     "One busy request stops all others"},
    {"RT-15",
     "now_ns is CLOCK_MONOTONIC, read after the wait, the same in all callbacks of a turn "
     "up to turn_end; outside turns it is read anew. It never goes back",
     "Deadlines fire in the wrong order"},
    {"RT-16",
     "turn_end comes once in every turn, the last and the empty one too, after all its "
     "callbacks and before any wait. What is made in it (a wake, a spawn, a timer, a "
     "send, a close) counts for that wait",
     "What the core sends there lies about until the next event"},
    {"RT-17",
     "turn waits at most its limit, not at all at 0, as long as it takes below 0, and not "
     "while there is work; it is one turn. A limit may be any 64-bit number",
     "The application's own loop stalls, or spins"},
    {"RT-18",
     "poll_fd is one descriptor for the instance's life, fit for poll(2) and epoll(7). It "
     "is readable while turn(0) has work, whoever made it and when: a wake, a spawn, a "
     "due timer, I/O. With nothing to do it is not, after a few turns at most. A "
     "cancelled timer may make it readable once more",
     "The application misses events, or its loop spins"},
    {"RT-19",
     "A signal during a wait or a system call is no error and loses nothing; it may end "
     "the wait of one turn early",
     "A program with a profiling timer fails at random"},
    {"RT-20",
     "With nothing to do the loop sleeps: no periodic wake-up",
     "Idle programs empty batteries"},
    {"RT-21",
     "fork(2) does not disturb the parent. In the child, if after_fork_child is there, it "
     "makes tasks, timers and wakes work again. There the core closes its copies of the "
     "streams before it runs the loop; that leaves the parent's connected",
     "A pre-forking server breaks its parent's connections"},
    {"RT-22",
     "A timer that sleep accepted fires once, in a turn, not inside the call, and never "
     "before its deadline, neither by now_ns nor by the system's clock. When it fires it "
     "is no longer armed",
     "A timeout strikes a request that had time left"},
    {"RT-23",
     "Earlier deadlines fire first, also among those due in one turn. Deadlines less than "
     "1 ms apart may come in any order",
     "A retry starts before the attempt that it replaces has timed out"},
    {"RT-24",
     "A deadline of 0 or in the past fires in the next turn; one that is set inside "
     "timer_fired, not in the same turn",
     "A timer at zero keeps the loop to itself"},
    {"RT-25",
     "Any 64-bit deadline is legal; UINT64_MAX never comes",
     "\"No limit\" overflows and fires at once"},
    {"RT-26",
     "sleep on an armed timer moves it, earlier or later, and it fires once, at the new "
     "time; also if it is due in this turn already. After it fired it may be set again, "
     "inside its callback too",
     "It fires twice, or at the old time"},
    {"RT-27",
     "After sleep_cancel a timer does not fire, even if it is due in this turn already. "
     "Cancelling one that is not armed, never was (zeroed state) or has fired does nothing",
     "A timeout strikes a request that is over"},
    {"RT-28",
     "The memory of a timer that is not armed may go: when sleep_cancel returns, and "
     "inside timer_fired",
     "The loop library keeps a pointer to freed memory"},
    {"RT-29",
     "Any number of timers; setting and cancelling cost at most the logarithm of it",
     "Many requests make each one slow"},
    {"CX-1",
     "Exactly one of AIODUCT_BIND_SEND and AIODUCT_BIND_LOCAL. open comes after the "
     "runtime's, close after the last on_closed and before the runtime's",
     "Streams are used on a thread that must not"},
    {"CX-2",
     "connect is PENDING or negative. Negative: there is no stream; its state is as "
     "before, may be used for another connect, or go. PENDING: one on_done(CONNECT), and "
     "stream_close is owed whatever its code. A stream is dialled once; a second connect "
     "is -EBUSY while the first runs and another error later",
     "A failed attempt leaks a descriptor, or closes one twice"},
    {"CX-3",
     "Completion 0: connected. Else the system's reason (-ECONNREFUSED, -ENETUNREACH "
     "...), never -EINPROGRESS or -EAGAIN",
     "The user reads the wrong reason"},
    {"CX-4",
     "Every option is set before connect(2). The struct is borrowed for the call, what "
     "its pointers point to until the completion",
     "A mark, a device or a window size comes too late for the first packet"},
    {"CX-5",
     "Zero is the default: TCP_NODELAY on, all else the system's",
     "Small requests wait for Nagle"},
    {"CX-6",
     "Without addr the connector resolves host, numeric ones of both families at least; "
     "without both it is an error",
     "A connector that others build upon cannot be tried out"},
    {"CX-7",
     "local_addr is bound; of a port range the first free port is taken, with or without "
     "local_addr; none free is -EADDRINUSE",
     "Traffic leaves by the wrong way, or the firewall drops it"},
    {"CX-8",
     "An option that the system refuses fails the connect with that error, a device's "
     "name of more than 15 bytes with -EINVAL; fast_open alone is a hint",
     "Traffic that was to stay in one network leaves by another"},
    {"CX-9",
     "cancel(CONNECT) and stream_close end a connect that still waits: one completion, "
     "-ECANCELED unless it was over",
     "A race of addresses keeps its losers"},
    {"CX-10",
     "Without a free descriptor connect is -EMFILE, nothing else is disturbed, and it "
     "works again when there is one",
     "A burst of requests ends the process"},
    {"ST-1",
     "One operation of each kind at a time; a second is -EBUSY and does not touch the "
     "first",
     "Bytes of two sends mix"},
    {"ST-2",
     "Each operation that was accepted (PENDING; 0 of recv_start) completes exactly once, "
     "later; DONE and refused ones never. Codes are 0 or a reason, not -EAGAIN, -EINTR or "
     "-EINPROGRESS; bytes is 0 but for sends",
     "A request never ends, or ends twice"},
    {"ST-3",
     "What the peer sends comes by on_data, each byte once, in order, in slices of at "
     "least one, only while a receive runs, also what came before it was started",
     "Responses are damaged"},
    {"ST-4",
     "A slice is valid and unchanged until on_data returns, whatever is called meanwhile "
     "on this stream or others",
     "The parser reads another connection's bytes"},
    {"ST-5",
     "The peer's end is one on_done(RECV, 0), after all its bytes",
     "A truncated response passes for a whole one"},
    {"ST-6",
     "A reset is an error (-ECONNRESET), not an end, also when it came before the receive",
     "The same"},
    {"ST-7",
     "recv_stop ends the receive: slices on their way may still come, then one -ECANCELED "
     "(or the end, if that was next). What is left stays with the system, and a later "
     "recv_start, inside that completion too, goes on there",
     "A paused consumer is flooded, or loses bytes"},
    {"ST-8",
     "recv_stop and cancel of what is not in flight do nothing, now or later",
     "A later receive ends at once"},
    {"ST-9",
     "send is DONE (every byte taken, no completion), PENDING (one completion; on 0 its "
     "count is all, else less than all) or negative (nothing taken, nothing written)",
     "Upload counters lie; a retry doubles bytes"},
    {"ST-10",
     "Any number of pieces, empty ones too; no bytes at all are DONE. The array is the "
     "caller's again when the call returns, the bytes when the send is over",
     "Large requests fail at IOV_MAX"},
    {"ST-11",
     "A send that wrote a part and then failed or was cancelled completes with that error "
     "and the count of that part",
     "\"Safe to send again\" is a lie"},
    {"ST-12",
     "Sending to a peer that is gone is -ECONNRESET or -EPIPE, without SIGPIPE",
     "The application dies"},
    {"ST-13",
     "shutdown ends our side after the bytes of a send in flight, and completes after it. "
     "If that send fails or is cancelled, the shutdown completes with its code and the "
     "end is not sent",
     "The peer misses the end of a body, or takes a part for the whole"},
    {"ST-14",
     "After shutdown was accepted a send is -EPIPE, until it completes with an error: "
     "then our side is still open. Receiving goes on",
     "A response to a half-closed request is lost"},
    {"ST-15",
     "cancel ends each named operation that is in flight: it completes once, with "
     "-ECANCELED or with what really happened. A receive or a send may follow",
     "Operations end twice, or never"},
    {"ST-16",
     "stream_close is the core's last call on a stream: operations in flight complete, "
     "then on_closed comes, once, later. It comes without an event of the peer",
     "Memory is kept for ever, or goes too early"},
    {"ST-17",
     "No on_data after stream_close, not even of bytes that are there",
     "The parser is called when it is gone"},
    {"ST-18",
     "In on_closed, and from then on, the memory is the core's, for another stream too",
     "A late event of the loop or the kernel writes into it"},
    {"ST-19",
     "Events of a closed stream never reach another that got its descriptor or its "
     "memory, also within one batch of events",
     "A connection takes another's bytes, or believes to be connected"},
    {"ST-20",
     "Every call on any stream is legal inside every callback of any stream",
     "Applications crash when they cancel from a callback"},
    {"ST-21",
     "Receiving, sending and shutting down need a connection: before it, and after a "
     "failed one, they are -ENOTCONN",
     "The core's mistake looks like the peer's"},
    {"ST-22",
     "stream_info is optional; it writes no further than the caller's size, and 0 means "
     "that the addresses are those of the connection",
     "The log names the wrong peer"},
    {"ST-23",
     "Bytes that sends took reach the peer after stream_close, followed by the end, "
     "unless bytes of the peer were left unread (then the system may reset)",
     "The last request of a connection is cut off"},
    {"ST-24",
     "A stream that waits costs no wake-up: idle, stopped with bytes waiting, ended or "
     "reset, with a send or a connect that the peer holds up",
     "An idle pool keeps a processor busy"},
    {"ST-25",
     "Many streams share the loop: one that floods leaves the others their time, for it "
     "gets at most 16 MiB a turn; a piece of a file takes no more either",
     "One download stops all others"},
    {"ST-26",
     "The two directions are independent: sending goes on after the peer's end, and both "
     "run at the same time",
     "Uploads stall while the response arrives"},
    {"ST-27",
     "send_file is optional. It is PENDING or negative, never DONE, and a send in all "
     "else: one at a time with send and another piece (-EBUSY), behind what was sent "
     "before, -EPIPE after shutdown, -ENOTCONN without a connection, named by "
     "AIODUCT_OP_SEND; a shutdown that is asked for meanwhile completes with -ECANCELED "
     "unless all that was asked for went",
     "Bytes of a file and of a head change places"},
    {"ST-28",
     "A piece completes with 0 and the number of bytes that were taken of the file from "
     "the offset on: one at least and what was asked for at most, or none where the file "
     "has ended. What the peer says to them is told later. The descriptor's own position "
     "is not used and does not move. AIODUCT_E_UNSUPPORTED, as answer or completion, "
     "takes nothing: what is no regular file, or cannot be read, is the caller's to read",
     "An upload has holes, or ends well although the file was cut"},
    {"ST-29",
     "The descriptor of a piece is not used after its completion, nor after cancel or "
     "stream_close has named it: the number may be another file's by then",
     "The peer gets a file that was not meant for it"},
    {"ST-30",
     "recv_at is optional, and a hint: the next slice may be put at the memory that it "
     "names, at most as many bytes as it names and from its start on, or lie elsewhere; "
     "nothing but that memory is written to. Each byte comes as ever (ST-3). It is "
     "nothing where no receive runs or the receive was asked to end",
     "A body lies beside its place"},
    {"ST-31",
     "The memory is not written to any more once on_data, or on_done of the receive, has "
     "been called, or once recv_stop, a cancel of the receive, stream_close or another "
     "recv_at (NULL too) has returned; the system has nothing left that could",
     "Bytes of an answer that is over change memory that is something else by then"},
};
/* clang-format on */
const size_t ct_rule_count = sizeof ct_rules / sizeof ct_rules[0];
