/* SPDX-License-Identifier: MIT */
/* Run a command while "hello from the walk" is to be had at $URL: serve COMMAND... Its status is
 * ours. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n"
                             "hello from the walk\n";

static void *serve(void *listener)
{
    char request[4096];
    for (;;) {
        int fd = accept(*(int *)listener, NULL, NULL);
        if (fd >= 0 && read(fd, request, sizeof request) > 0) {
            (void)!write(fd, answer, sizeof answer - 1);
        }
        close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    char url[64];
    pthread_t thread;
    int status = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (argc < 2 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 8) < 0 || getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
        pthread_create(&thread, NULL, serve, &listener) != 0) {
        return 1;
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    setenv("URL", url, 1);
    pid_t child;
    if (posix_spawnp(&child, argv[1], NULL, NULL, argv + 1, environ) != 0 ||
        waitpid(child, &status, 0) != child) {
        return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
