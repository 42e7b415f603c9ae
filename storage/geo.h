/* geo.h -- places on the globe as scores of a sorted set, and shapes as ranges of scores.
 *
 * A score is a cell of 52 bits: 26 bisections of the longitude interleaved with 26 of the latitude, beginning with
 * the longitude. It is a geohash with latitudes up to 85.05 degrees, where a Mercator map ends. A cell of fewer
 * steps is larger and holds a range of scores. A shape is covered by a cell of about its size and the eight cells
 * around that.
 * All calculations are those of Redis, in the same order, so that results are equal to the last bit. */
#ifndef LOCKSTEP_STORAGE_GEO_H
#define LOCKSTEP_STORAGE_GEO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct geo_point {
    double lon, lat; /* in degrees */
};

bool geo_is_valid(struct geo_point p);                       /* within the limits above; false for NaN */
uint64_t geo_cell_of(struct geo_point p);                    /* requires a valid point; a double holds the result
                                                              * exactly */
struct geo_point geo_point_of_score(double score);           /* the middle of the cell; accepts any score */
double geo_distance(struct geo_point a, struct geo_point b); /* in metres, on a sphere */

enum { GEO_HASH_CHARS = 11 };
void geo_format_hash(struct geo_point p, char out[GEO_HASH_CHARS]); /* the standard geohash, with latitudes up to 90
                                                                     * degrees */

enum geo_shape_type { GEO_CIRCLE, GEO_BOX };
struct geo_shape {
    enum geo_shape_type type;
    struct geo_point center;
    double unit;                  /* in metres */
    double radius, width, height; /* in that unit; not negative */
    /* Set by geo_shape_prepare(): points further from the center than this, in degrees, are not in the shape. */
    double lat_reach, lon_reach, cos_center;
};
void geo_shape_prepare(struct geo_shape *s); /* call once the other fields are set, before geo_shape_holds() */
bool geo_shape_holds(const struct geo_shape *s, struct geo_point p, double *distance_m /* from the center */);

/* Ranges of scores, min inclusive, max exclusive, in the order in which Redis searches them. They contain all places
 * within the shape, and others. */
enum { GEO_RANGES_MAX = 9 };
struct geo_ranges {
    size_t count;
    struct {
        double min, max;
    } range[GEO_RANGES_MAX];
};
void geo_shape_ranges(const struct geo_shape *s, struct geo_ranges *out);

#endif
