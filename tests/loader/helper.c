/* SPDX-License-Identifier: MIT */
/* A program of its own for the cases where it matters how a program is linked, started or owned:
 *   helper VALUE [DIRECTORY]
 * chooses the runtime VALUE ("-": none said), after adding DIRECTORY by API, and prints what came
 * of it. HELPER_ADDRESS makes it take a loop library's function's address, as an application with a
 * loop of its own would. */
#include <aioduct/runtime.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#ifdef HELPER_ADDRESS
void HELPER_ADDRESS(void);
#endif
#ifdef HELPER_CALL
void HELPER_CALL(void);
#endif

int main(int argc, char **argv)
{
    struct aioduct_error error = {0};
    struct aioduct_runtime_selection made = {.size = sizeof made};
#ifdef HELPER_CALL
    HELPER_CALL();
#endif
#ifdef HELPER_ADDRESS
    void (*volatile address)(void) = HELPER_ADDRESS; /* in code, where only a number will do */
    address();
#endif
    const char *value = argc > 1 && strcmp(argv[1], "-") != 0 ? argv[1] : NULL;
    if (argc > 2) {
        aioduct_plugin_directory_add(argv[2]);
    }
    int code = aioduct_runtime_select(value, &made, &error);
    printf("code=%d secure=%lu\nname=%s origin=%s source=%s\n%s\n%s\n", code, getauxval(AT_SECURE),
           made.name, made.origin, made.source, error.message, error.hint);
    return 0;
}
