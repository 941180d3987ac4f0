/* Small charts as SVG text for a page: a frame with axes, lines, bars with intervals. Colours come from CSS variables
 * of the page (--ink, --faint, --c1, --c2, --c3), so that light and dark pages share one drawing. Every text is escaped
 * and a number that is not finite is left out, never written.
 * SPDX-License-Identifier: MIT */
#ifndef CTS_QUERY_EVAL_SVG_H
#define CTS_QUERY_EVAL_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/base/str.h"

/* Text with & < > " ' as entities; control characters as spaces. */
void cts_xml_text(cts_str *out, const char *text);

/* A plot area: x runs over x_min..x_max (log when log_x), y over y_min..y_max upwards. In user units of the viewBox. */
typedef struct {
    double width, height;            /* of the whole picture */
    double left, top, right, bottom; /* margins around the plot area */
    double x_min, x_max, y_min, y_max;
    bool log_x;
} cts_chart;

/* <svg ...> with a role and a title for readers that cannot see it; close with cts_chart_end(). */
void cts_chart_begin(const cts_chart *c, cts_str *out, const char *title);
void cts_chart_end(cts_str *out);
double cts_chart_x(const cts_chart *c, double x);
double cts_chart_y(const cts_chart *c, double y);
/* Frame, and gridlines with labels at the given places. labels: numbers as %g, or "" for lines alone. */
void cts_chart_grid_x(const cts_chart *c, cts_str *out, const double *at, size_t n, bool labels);
void cts_chart_grid_y(const cts_chart *c, cts_str *out, const double *at, size_t n, bool labels);
/* A polyline of n points clipped to finite ones; css: class of the line ("c1", "faint dash"). Points that lie on the
 * straight line between their neighbours, to 1e-9 of the plot, are left out. */
void cts_chart_line(const cts_chart *c, cts_str *out, const double *x, const double *y, size_t n, const char *css);
/* A dot at each finite point. */
void cts_chart_dots(const cts_chart *c, cts_str *out, const double *x, const double *y, size_t n, const char *css);
/* Text at a place of the picture (not of the plot); anchor "start", "middle", "end". */
void cts_chart_text(cts_str *out, double x, double y, const char *anchor, const char *css, const char *text);

/* A horizontal bar from x = from to x = to at picture height y, with an interval when low and high are finite. */
void cts_chart_bar(const cts_chart *c, cts_str *out, double y, double thick, double from, double to, double low,
                   double high, const char *css);

#endif
