/* SPDX-License-Identifier: MIT */
/* A test of somebody's plugin, made of what is installed. */
#include <aioduct/plugin/kit.h>

int main(int argc, char **argv)
{
    const char *const only[] = {"PL", "RT-9", "ST-9", 0};
    struct aioduct_kit_options options = AIODUCT_KIT_OPTIONS_INIT;
    options.path = argc > 1 ? argv[1] : "";
    options.only = only;
    options.scale_percent = 5;
    return aioduct_kit_run(&options);
}
