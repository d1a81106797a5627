/* A picture that gnuplot draws: a script is written to a stream, then run by a gnuplot of its own
 * whose output becomes the file. There is no shell, and no file name is in the script. */
#ifndef PLOT_PICTURE_H
#define PLOT_PICTURE_H

#include "log/fault.h"

typedef struct picture {
    FILE *script; /* for gnuplot, from the terminal on */
    char out[4096], made[4096]; /* where it goes, behind links; where it is made */
    int made_fd, said_fd;       /* that file; gnuplot's words */
} picture;

/* Colours that are told apart by those who see few, after Okabe and Ito (2008), in the order in
 * which they are used; and gnuplot's marks that are filled, of which one less is the open form. */
enum { PICTURE_COLOURS = 7, PICTURE_MARKS = 5 };
extern const char *const picture_colours[PICTURE_COLOURS];
extern const int picture_marks[PICTURE_MARKS];

/* The size is that of an SVG in pixels; a PNG has twice as many. */
bool picture_begin(picture *p, const char *out, int width, int height, char *text);

/* Draws and renames, or, where a part of it failed before and filled the text, leaves nothing. */
bool picture_end(picture *p, bool good, char *text);

/* A text in quotes, as gnuplot reads it; at most `bytes` of it are shown, 31 to 150. */
void picture_text(picture *p, const char *text, size_t bytes);

#endif
