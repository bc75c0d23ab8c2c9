/* SPDX-License-Identifier: MIT */
/* Latency by percentile as SVG: a curve for each runtime. To the right each step is ten times rarer
 * (90 %, 99 %, 99.9 % ...), upwards each is ten times longer. */
#include "bench.h"

#define WIDTH 860
#define HEIGHT 480
#define LEFT 80
#define RIGHT 40
#define TOP 64
#define BOTTOM 56
#define STEPS_A_DECADE 24
#define STEP 0.90851757565168 /* 10 to the power of -1/24 */

struct chart {
    FILE *to;
    double nines;     /* decades to the right */
    double low, high; /* decades upwards, logarithms of nanoseconds */
};

/* Told apart by people who see colours differently. */
static const char *const colours[RUNTIMES_MAX] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                  "#e69f00", "#56b4e9", "#000000", "#999999"};

static void text(FILE *to, const char *raw)
{
    for (const char *c = raw; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '&' || byte == '<' || byte == '>' || byte == '"' || byte < 0x20 ||
            byte > 0x7e) {
            fprintf(to, "&#%u;", byte < 0x20 || byte > 0x7e ? (unsigned)'?' : byte);
        } else {
            fputc(byte, to);
        }
    }
}

static double x_of(const struct chart *c, double nines)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * nines / c->nines;
}

/* The powers and logarithms that a chart needs, so that the command need not load libm. */
static double power_of_ten(int exponent)
{
    double power = 1;
    while (exponent-- > 0) {
        power *= 10;
    }
    return power;
}

/* @value is at least 1. The whole part is the decades in it, then each squaring tells a bit. */
static double logarithm(double value)
{
    double result = 0;
    for (; value >= 10; value /= 10) {
        result++;
    }
    for (double bit = 0.5; bit > 1e-6; bit /= 2) {
        value *= value;
        if (value >= 10) {
            value /= 10;
            result += bit;
        }
    }
    return result;
}

static int round_up(double value)
{
    int whole = (int)value;
    return whole + (whole < value);
}

static double y_of(const struct chart *c, double ns)
{
    double part = (logarithm(ns < 1 ? 1 : ns) - c->low) / (c->high - c->low);
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part;
}

/* Whole decades around all values, and as far to the right as the longest run has values. */
static void scale(struct chart *c, const struct bench_settings *s,
                  const struct bench_result *totals)
{
    uint64_t least = HISTOGRAM_VALUE_MAX, most = 1, count = 10;
    for (size_t i = 0; i < s->runtime_count; i++) {
        const struct histogram *h = &totals[i].latency;
        if (h->count > 0) {
            least = h->min < least ? h->min : least;
            most = h->max > most ? h->max : most;
            count = h->count > count ? h->count : count;
        }
    }
    least = least > most ? most : least;
    c->nines = round_up(logarithm((double)count));
    c->low = (int)logarithm(least < 1 ? 1.0 : (double)least);
    c->high = round_up(logarithm((double)most + 1));
    c->high = c->high <= c->low ? c->low + 1 : c->high;
}

static void grid(const struct chart *c)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    for (int decade = (int)c->low; decade <= (int)c->high; decade++) {
        double y = y_of(c, power_of_ten(decade));
        int unit = decade / 3 > 3 ? 3 : decade / 3;
        fprintf(c->to, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", LEFT,
                y, WIDTH - RIGHT, y);
        fprintf(c->to, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f %s</text>\n", LEFT - 8,
                y + 4, power_of_ten(decade - 3 * unit), units[unit]);
    }
    for (int nines = 0; nines <= (int)c->nines; nines++) {
        double x = x_of(c, nines);
        fprintf(c->to, "<line class=\"grid\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", x,
                TOP, x, HEIGHT - BOTTOM);
        fprintf(c->to, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f %%</text>\n", x,
                HEIGHT - BOTTOM + 18, nines > 2 ? nines - 2 : 0, 100 - 100 / power_of_ten(nines));
    }
}

static void curve(const struct chart *c, const struct bench_result *r, size_t index)
{
    double last = logarithm((double)r->latency.count);
    double above = 100; /* percent of the values */
    fprintf(c->to, "<polyline class=\"curve\" stroke=\"%s\" points=\"", colours[index]);
    for (int i = 0; r->latency.count > 0; i++) {
        double nines = (double)i / STEPS_A_DECADE;
        nines = nines > last ? last : nines;
        double percent = nines < last ? 100 - above : 100;
        fprintf(c->to, "%s%.1f,%.1f", i > 0 ? " " : "", x_of(c, nines),
                y_of(c, (double)histogram_percentile(&r->latency, percent)));
        if (nines >= last) {
            break;
        }
        above *= STEP;
    }
    fputs("\"/>\n", c->to);
}

static void legend(const struct chart *c, const struct bench_settings *s,
                   const struct bench_result *totals)
{
    for (size_t i = 0; i < s->runtime_count; i++) {
        int x = LEFT + 12 + (int)(i % 4) * 185, y = TOP + 18 + (int)(i / 4) * 18;
        fprintf(c->to, "<rect x=\"%d\" y=\"%d\" width=\"18\" height=\"4\" fill=\"%s\"/>\n", x,
                y - 6, colours[i]);
        fprintf(c->to, "<text x=\"%d\" y=\"%d\">", x + 24, y);
        text(c->to, bench_name_of(s, totals, i));
        fprintf(c->to, ", %.0f/s</text>\n", bench_figure_of(&totals[i], BENCH_RATE));
    }
}

void bench_chart(FILE *to, const struct bench_settings *s, const struct bench_result *totals)
{
    struct chart chart = {.to = to};
    scale(&chart, s, totals);
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\">\n"
            "<style>text{font:13px sans-serif;fill:#333}.grid{stroke:#ddd}"
            ".curve{fill:none;stroke-width:2}</style>\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<title>",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    text(to, s->shown_url);
    fprintf(to, "</title>\n<text x=\"%d\" y=\"26\" font-weight=\"bold\">", LEFT);
    text(to, s->shown_url);
    fprintf(to,
            "</text>\n<text x=\"%d\" y=\"46\">Latency by percentile, from when each request was "
            "%s; %d connections",
            LEFT, s->rate > 0 ? "due" : "started", s->connections);
    if (s->streams > 1) {
        fprintf(to, ", %d streams each", s->streams);
    }
    if (s->rate > 0) {
        fprintf(to, ", %g requests a second", s->rate);
    }
    fputs("</text>\n", to);
    grid(&chart);
    for (size_t i = 0; i < s->runtime_count; i++) {
        curve(&chart, &totals[i], i);
    }
    legend(&chart, s, totals);
    fputs("</svg>\n", to);
}
