/* SPDX-License-Identifier: MIT */
/* The aioduct command. */
#include "bench/bench.h"
#include "options.h"
#include "password.h"
#include "plugins.h"
#include "run.h"

#include <aioduct/aioduct.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* GnuTLS would begin as it is loaded, whether or not a URL needs it, which is a sixth of what a
 * start costs. The library begins it for the first connection with TLS. */
#pragma GCC visibility push(default)
GNUTLS_SKIP_GLOBAL_INIT
#pragma GCC visibility pop

static int show_version(const struct options *options)
{
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    struct aioduct_error error = {0};
    printf("aioduct %s\n", aioduct_version());
    if (aioduct_runtime_select(options->runtime, &chosen, &error) == 0) {
        printf("Runtime: %s %s (%s; from %s)\n", chosen.name, chosen.version, chosen.origin,
               chosen.source);
    } else {
        printf("Runtime: none: %s\n", error.message);
    }
    printf("Protocols: http https\nFeatures: HTTP2 TLS\n");
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    /* A closed pipe at our standard output is a write error (exit 23), as it is for curl. */
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "plugins") == 0) {
        return plugins_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "bench") == 0) {
        return bench_main(argc - 1, argv + 1);
    }
    int exit_code = options_parse(argc, argv, &options);
    if (exit_code == 0) {
        if (options.show_help) {
            options_help();
        } else if (options.show_version) {
            exit_code = show_version(&options);
        } else {
            exit_code = password_ask(&options);
            exit_code = exit_code != 0 ? exit_code : run_all(&options);
        }
    }
    options_fini(&options);
    return exit_code;
}
