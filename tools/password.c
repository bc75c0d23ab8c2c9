/* SPDX-License-Identifier: MIT */
#include "password.h"

#include "exitcode.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_BYTES_MAX 4096

/* For the handler: a terminal that somebody leaves by ^C is to show again what is typed. */
static int tty = -1;
static struct termios before;

static void on_signal(int number)
{
    tcsetattr(tty, TCSANOW, &before);
    signal(number, SIG_DFL);
    raise(number);
}

/* -> bytes, -1 at an end without a line; the newline is not among them */
static ssize_t read_line(char *line, size_t room)
{
    size_t count = 0;
    for (;;) {
        char c;
        ssize_t got = read(tty, &c, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || count == room) {
            return -1;
        }
        if (c == '\n' || c == '\r') {
            return (ssize_t)count;
        }
        line[count++] = c;
    }
}

static ssize_t ask(const char *user, char *line, size_t room)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
    enum { SIGNALS = sizeof signals / sizeof signals[0] };
    struct sigaction action = {.sa_handler = on_signal}, old[SIGNALS];
    bool is_terminal = tcgetattr(tty, &before) == 0;
    if (is_terminal) {
        struct termios quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        for (int i = 0; i < SIGNALS; i++) {
            sigaction(signals[i], &action, &old[i]);
        }
        tcsetattr(tty, TCSAFLUSH, &quiet);
    }
    dprintf(tty, "Password for user '%s': ", user);
    ssize_t count = read_line(line, room);
    if (is_terminal) {
        tcsetattr(tty, TCSANOW, &before);
        for (int i = 0; i < SIGNALS; i++) {
            sigaction(signals[i], &old[i], NULL);
        }
        dprintf(tty, "\n");
    }
    return count;
}

int password_ask(struct options *o)
{
    char line[PASSWORD_BYTES_MAX];
    char *whole = NULL;
    if (o->user == NULL || strchr(o->user, ':') != NULL ||
        options_have_header(o, "Authorization")) {
        return 0;
    }
    tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
    ssize_t count = tty < 0 ? -1 : ask(o->user, line, sizeof line);
    if (count < 0) {
        fprintf(stderr, "aioduct: (%d) -u %s: %s\n", EXIT_USAGE, o->user,
                tty < 0 ? "no password, and no terminal to ask for it: write -u USER:PASSWORD"
                        : "no password was given");
    } else if (asprintf(&whole, "%s:%.*s", o->user, (int)count, line) >= 0) {
        free(o->user);
        o->user = whole;
    } else {
        whole = NULL;
    }
    explicit_bzero(line, sizeof line);
    if (tty >= 0) {
        close(tty);
        tty = -1;
    }
    return count < 0 ? EXIT_USAGE : whole == NULL ? EXIT_MEMORY : 0;
}
