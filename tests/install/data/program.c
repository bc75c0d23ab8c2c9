/* SPDX-License-Identifier: MIT */
/* What a user builds against an installed aioduct: one GET from a peer in the same process.
 * argv[1]: runtime expected. */
#include <aioduct/aioduct.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

static void *serve(void *listener)
{
    char request[4096];
    int fd = accept(*(int *)listener, NULL, NULL);
    if (fd >= 0 && read(fd, request, sizeof request) > 0) {
        (void)!write(fd, answer, sizeof answer - 1);
        (void)!read(fd, request, sizeof request); /* until the client closes */
    }
    close(fd);
    return NULL;
}

static int fetch(struct aioduct_client *client, const char *url)
{
    struct aioduct_response *response = NULL;
    struct aioduct_error error;
    if (aioduct_get(client, url, &response, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    size_t count;
    const char *body = (const char *)aioduct_response_body(response, &count);
    int wrong =
        aioduct_response_status(response) != 200 || count != 5 || strcmp(body, "hello") != 0;
    aioduct_response_destroy(response);
    return wrong;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    char url[64];
    pthread_t thread;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
        pthread_create(&thread, NULL, serve, &listener) != 0) {
        return 1;
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(address.sin_port));

    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_error error;
    if (aioduct_client_create(&options, &client, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    const char *runtime = aioduct_client_runtime(client);
    printf("%s from %s\n", runtime, aioduct_client_runtime_origin(client));
    int wrong = argc > 1 && strcmp(argv[1], runtime) != 0;
    wrong |= fetch(client, url);
    aioduct_client_destroy(client);
    pthread_join(thread, NULL);
    close(listener);
    return wrong;
}
