/* SPDX-License-Identifier: MIT */
#include "query/eval/svg.h"

#include <math.h>
#include <stdio.h>

void cts_xml_text(cts_str *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        switch (*p) {
        case '&':
            cts_str_append(out, "&amp;");
            break;
        case '<':
            cts_str_append(out, "&lt;");
            break;
        case '>':
            cts_str_append(out, "&gt;");
            break;
        case '"':
            cts_str_append(out, "&quot;");
            break;
        case '\'':
            cts_str_append(out, "&#39;");
            break;
        default:
            if ((unsigned char)*p < ' ')
                cts_str_append(out, " ");
            else
                cts_str_append_n(out, p, 1);
        }
    }
}

/* Two decimals are a hundredth of a pixel: enough, and short. */
static void number(cts_str *out, double v)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%.2f", v);

    while (n > 1 && text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    cts_str_append_n(out, text, (size_t)n);
}

static void attribute(cts_str *out, const char *name, double v)
{
    cts_str_printf(out, " %s=\"", name);
    number(out, v);
    cts_str_append(out, "\"");
}

void cts_chart_begin(const cts_chart *c, cts_str *out, const char *title)
{
    cts_str_append(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 ");
    number(out, c->width);
    cts_str_append(out, " ");
    number(out, c->height);
    cts_str_append(out, "\"");
    attribute(out, "width", c->width);
    attribute(out, "height", c->height);
    cts_str_append(out, "><title>");
    cts_xml_text(out, title);
    cts_str_append(out, "</title>");
}

void cts_chart_end(cts_str *out)
{
    cts_str_append(out, "</svg>\n");
}

double cts_chart_x(const cts_chart *c, double x)
{
    double t = c->log_x ? log(x / c->x_min) / log(c->x_max / c->x_min) : (x - c->x_min) / (c->x_max - c->x_min);

    return c->left + t * (c->width - c->left - c->right);
}

double cts_chart_y(const cts_chart *c, double y)
{
    return c->height - c->bottom - (y - c->y_min) / (c->y_max - c->y_min) * (c->height - c->top - c->bottom);
}

static void segment(cts_str *out, double x1, double y1, double x2, double y2, const char *css)
{
    cts_str_append(out, "<line");
    attribute(out, "x1", x1);
    attribute(out, "y1", y1);
    attribute(out, "x2", x2);
    attribute(out, "y2", y2);
    cts_str_printf(out, " class=\"%s\"/>", css);
}

void cts_chart_text(cts_str *out, double x, double y, const char *anchor, const char *css, const char *text)
{
    cts_str_append(out, "<text");
    attribute(out, "x", x);
    attribute(out, "y", y);
    cts_str_printf(out, " text-anchor=\"%s\" class=\"%s\">", anchor, css);
    cts_xml_text(out, text);
    cts_str_append(out, "</text>");
}

void cts_chart_grid_x(const cts_chart *c, cts_str *out, const double *at, size_t n, bool labels)
{
    for (size_t i = 0; i < n; i++) {
        double x = cts_chart_x(c, at[i]);
        char text[32];

        segment(out, x, c->top, x, c->height - c->bottom, "grid");
        snprintf(text, sizeof text, "%g", at[i]);
        if (labels)
            cts_chart_text(out, x, c->height - c->bottom + 13.0, "middle", "tick", text);
    }
}

void cts_chart_grid_y(const cts_chart *c, cts_str *out, const double *at, size_t n, bool labels)
{
    for (size_t i = 0; i < n; i++) {
        double y = cts_chart_y(c, at[i]);
        char text[32];

        segment(out, c->left, y, c->width - c->right, y, "grid");
        snprintf(text, sizeof text, "%g", at[i]);
        if (labels)
            cts_chart_text(out, c->left - 5.0, y + 3.5, "end", "tick", text);
    }
}

void cts_chart_line(const cts_chart *c, cts_str *out, const double *x, const double *y, size_t n, const char *css)
{
    double px[2] = {0.0, 0.0}, py[2] = {0.0, 0.0}; /* the last point written, and the one held back */
    size_t seen = 0;

    cts_str_printf(out, "<polyline class=\"line %s\" points=\"", css);
    for (size_t i = 0; i < n; i++) {
        double ux, uy, cross;

        if (!isfinite(x[i]) || !isfinite(y[i]))
            continue;
        ux = cts_chart_x(c, x[i]);
        uy = cts_chart_y(c, y[i]);
        if (seen >= 2) {
            /* the point held back is needed when the line bends there */
            cross = (px[1] - px[0]) * (uy - py[0]) - (py[1] - py[0]) * (ux - px[0]);
            if (fabs(cross) > 1e-9 * c->width * c->height) {
                number(out, px[1]);
                cts_str_append(out, ",");
                number(out, py[1]);
                cts_str_append(out, " ");
                px[0] = px[1];
                py[0] = py[1];
            }
        } else if (!seen) {
            number(out, ux);
            cts_str_append(out, ",");
            number(out, uy);
            cts_str_append(out, " ");
            px[0] = ux;
            py[0] = uy;
        }
        px[1] = ux;
        py[1] = uy;
        seen++;
    }
    if (seen >= 2) {
        number(out, px[1]);
        cts_str_append(out, ",");
        number(out, py[1]);
    }
    cts_str_append(out, "\"/>");
}

void cts_chart_dots(const cts_chart *c, cts_str *out, const double *x, const double *y, size_t n, const char *css)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i]))
            continue;
        cts_str_append(out, "<circle r=\"3\"");
        attribute(out, "cx", cts_chart_x(c, x[i]));
        attribute(out, "cy", cts_chart_y(c, y[i]));
        cts_str_printf(out, " class=\"dot %s\"/>", css);
    }
}

void cts_chart_bar(const cts_chart *c, cts_str *out, double y, double thick, double from, double to, double low,
                   double high, const char *css)
{
    double a = cts_chart_x(c, fmin(from, to)), b = cts_chart_x(c, fmax(from, to));

    if (!isfinite(a) || !isfinite(b))
        return;
    cts_str_append(out, "<rect rx=\"2\"");
    attribute(out, "x", a);
    attribute(out, "y", y - thick / 2.0);
    attribute(out, "width", fmax(b - a, 0.5));
    attribute(out, "height", thick);
    cts_str_printf(out, " class=\"bar %s\"/>", css);
    if (isfinite(low) && isfinite(high)) {
        double l = cts_chart_x(c, low), h = cts_chart_x(c, high);

        segment(out, l, y, h, y, "whisker");
        segment(out, l, y - thick / 4.0, l, y + thick / 4.0, "whisker");
        segment(out, h, y - thick / 4.0, h, y + thick / 4.0, "whisker");
    }
}
