/* SPDX-License-Identifier: MIT */
/* Send a body that is made while it is sent, in chunks; its length is not known.   upload URL */
#include <aioduct/aioduct.h>
#include <stdio.h>

static int64_t read_line(void *user, void *buffer, size_t capacity)
{
    int *line = user;
    if (*line == 1000) {
        return 0; /* the end */
    }
    return snprintf(buffer, capacity, "line %d\n", (*line)++);
}

static int rewind_lines(void *user)
{
    *(int *)user = 0;
    return 0;
}

int main(int argc, char **argv)
{
    int line = 0;
    const struct aioduct_body_source source = {
        .size = sizeof source, .read = read_line, .rewind = rewind_lines, .user = &line};
    struct aioduct_request *request;
    struct aioduct_response *response = NULL;
    struct aioduct_error error = {0};

    if (argc != 2) {
        return fprintf(stderr, "usage: upload URL\n"), 2;
    }
    if (aioduct_request_create("PUT", argv[1], &request, &error) < 0) {
        return fprintf(stderr, "upload: %s\n", error.message), 1;
    }
    aioduct_request_body_pull(request, &source, AIODUCT_LENGTH_UNKNOWN);
    int code = aioduct_client_fetch(NULL, request, &response, &error);
    if (code < 0) {
        fprintf(stderr, "upload: %s\n", error.message);
    } else {
        printf("status %d\n", aioduct_response_status(response));
    }
    aioduct_response_destroy(response);
    aioduct_request_destroy(request);
    return code < 0;
}
