/* SPDX-License-Identifier: MIT */
/* GET a URL and print the body: five lines, with whichever runtime is installed. */
#include <aioduct/aioduct.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct aioduct_response *response = NULL;
    struct aioduct_error error = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: get URL\n");
        return 2;
    }
    int code = aioduct_get(NULL, argv[1], &response, &error);
    if (code == 0) {
        size_t count;
        const void *body = aioduct_response_body(response, &count);
        fwrite(body, 1, count, stdout);
    } else {
        /* What is wrong, and where the library knows it, what to do about it. */
        fprintf(stderr, "get: %s\n%s%s", error.message, error.hint, *error.hint ? "\n" : "");
    }
    aioduct_response_destroy(response);
    return code == 0 ? 0 : 1;
}
