/* fuzz_aof.c -- any bytes as an append-only file.
 * The reader returns the same items however the file is split, and judges notes; the checker ends, and a file that it
 * has repaired is valid. The first byte chooses the split. If its highest bit is set, the bytes describe a file with
 * notes, which is then damaged. */
#include <fcntl.h>

#include "storage/aof_check.h"
#include "storage/aof_sum.h"
#include "storage/base/assert.h"
#include "storage/base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- A file in memory ---- */

struct disk {
    struct sys sys;
    struct bytes_buf file;
    size_t at, piece;
};

static int disk_open(void *ctx, const char *path, int flags, int mode)
{
    struct disk *d = ctx;
    (void)path, (void)flags, (void)mode;
    d->at = 0;
    return 3;
}
static int disk_close(void *ctx, int fd)
{
    (void)ctx, (void)fd;
    return 0;
}
static ssize_t disk_read(void *ctx, int fd, void *buf, size_t len)
{
    struct disk *d = ctx;
    size_t n = d->file.len - d->at;
    (void)fd;
    if (n > len) n = len;
    if (n > d->piece) n = d->piece;
    if (n > 0) memcpy(buf, d->file.data + d->at, n);
    d->at += n;
    return (ssize_t)n;
}
static int disk_truncate(void *ctx, int fd, int64_t len)
{
    struct disk *d = ctx;
    (void)fd;
    ASSERT(len >= 0 && (uint64_t)len <= d->file.len);
    d->file.len = (size_t)len;
    return 0;
}
static int disk_fsync(void *ctx, int fd)
{
    (void)ctx, (void)fd;
    return 0;
}
static int64_t disk_file_size(void *ctx, const char *path)
{
    (void)path;
    return (int64_t)((struct disk *)ctx)->file.len;
}

static void disk_init(struct disk *d, struct bytes_view bytes, size_t piece)
{
    *d = (struct disk){.sys = *sys_real(), .piece = piece};
    d->sys.ctx = d;
    d->sys.open = disk_open;
    d->sys.close = disk_close;
    d->sys.read = disk_read;
    d->sys.truncate = disk_truncate;
    d->sys.fsync = disk_fsync;
    d->sys.file_size = disk_file_size;
    bytes_buf_append_view(&d->file, bytes);
}

/* ---- The reader ---- */

/* Every piece has an allocation of its own, so the sanitizer sees a read beyond it, or after it is freed. */
static uint64_t read_items(struct bytes_view in, size_t piece, size_t *taken)
{
    struct aof_reader r = {0};
    struct aof_item item;
    struct aof_sum *sum = aof_sum_new();
    struct aof_note note;
    enum aof_status status = AOF_MORE;
    uint64_t seen = 0;
    *taken = 0;
    for (size_t fed = 0; fed < in.len && status != AOF_ERROR;) {
        fed = in.len - fed < piece ? in.len : fed + piece;
        do {
            size_t len = fed - *taken;
            char *copy = mem_alloc(len);
            if (len > 0) memcpy(copy, in.data + *taken, len);
            status = aof_reader_next(&r, bytes_view(copy, len), &item);
            if (status == AOF_COMMAND || status == AOF_ANNOTATION) {
                ASSERT(item.len > 0 && item.len <= len);
                seen = seen * 31 + item.len + (uint64_t)item.argc;
                for (int i = 0; i < item.argc; i++)
                    for (size_t j = 0; j < item.argv[i].len; j++)
                        seen = seen * 31 + (unsigned char)item.argv[i].data[j];
                if (status == AOF_ANNOTATION) aof_sum_judge(sum, item.line, &note);
                if (status == AOF_ANNOTATION && note.kind == AOF_NOTE_SUM && note.right)
                    aof_sum_reset(sum, note.sum.sum);
                else
                    aof_sum_add(sum, bytes_view(copy, item.len));
                *taken += item.len;
            }
            mem_free(copy);
        } while (status == AOF_COMMAND || status == AOF_ANNOTATION);
    }
    aof_reader_release(&r);
    aof_sum_free(sum);
    return status == AOF_ERROR ? seen + 1 : seen;
}

/* ---- The checker ---- */

static void count_line(void *ctx, const char *text)
{
    *(size_t *)ctx += strlen(text);
}
static bool agree(void *ctx, const char *prompt)
{
    (void)ctx, (void)prompt;
    return true;
}

static int check(struct disk *d, bool fix)
{
    size_t said = 0;
    struct aof_check_options options = {.fix = fix, .truncate_to = -1};
    struct aof_check_output out = {.ctx = &said, .line = count_line, .confirm = agree};
    int rc = aof_check(&d->sys, "appendonly.aof", &options, &out);
    ASSERT(said > 0);
    return rc;
}

/* A damaged RDB preamble cannot be repaired. */
static bool has_preamble(const struct disk *d)
{
    return d->file.len >= 5 && memcmp(d->file.data, "REDIS", 5) == 0;
}

static void check_file(struct bytes_view in, size_t piece)
{
    struct disk d;
    uint32_t boot = 0;
    if (in.len >= 5 && memcmp(in.data, "file ", 5) == 0) return; /* a manifest that lists this file */
    disk_init(&d, in, piece);
    int before = check(&d, false);
    (void)aof_sum_vouched(&d.sys, "", in.len / 3, &boot);
    (void)aof_sum_has_hole(&d.sys, "", in.len / 3);
    if (!has_preamble(&d)) {
        size_t len = d.file.len;
        ASSERT(check(&d, true) == 0);
        ASSERT((before == 0) == (d.file.len == len));
        ASSERT(check(&d, false) == 0);
    }
    bytes_buf_release(&d.file);
}

/* ---- Files with notes ---- */

/* Three bytes of the input describe an append: its length, its contents, and whether a note follows. Returns the end
 * of the last command. */
static size_t build(const uint8_t *recipe, size_t size, struct bytes_buf *file)
{
    size_t end = 0;
    struct aof_sum *sum = aof_sum_new();
    struct aof_place place = {.id = "0123456789abcdef0123456789abcdef01234567"};
    uint64_t synced = 0;
    for (size_t i = 0; i + 2 < size; i += 3) {
        size_t at = file->len, len = (size_t)recipe[i] * (recipe[i] > 200 ? 64 : 1);
        bytes_buf_printf(file, "*2\r\n$3\r\nSET\r\n$%zu\r\n", len);
        for (size_t j = 0; j < len; j++) bytes_buf_append(file, (const char *)&recipe[i + 1], 1);
        bytes_buf_append_view(file, BYTES_LIT("\r\n"));
        aof_sum_add(sum, bytes_view(file->data + at, file->len - at));
        end = file->len;
        if (recipe[i + 2] & 1) aof_sum_write_filler(sum, file->len, file);
        if (recipe[i + 2] & 2) aof_sum_write_note(sum, synced, 1, file);
        if (recipe[i + 2] & 4) synced = file->len;
    }
    aof_sum_write_place(sum, &place, 1, file);
    aof_sum_free(sum);
    return end;
}

static void check_damage(const uint8_t *recipe, size_t size, size_t piece)
{
    struct bytes_buf file = {0};
    struct disk d;
    uint32_t boot = 0;
    size_t at = (size_t)recipe[0] * 97, taken;
    size_t end = build(recipe + 1, size - 1, &file);
    piece += file.len / 64; /* larger pieces for larger files: each piece copies the bytes that are not consumed yet */
    disk_init(&d, bytes_buf_view(&file), piece);
    ASSERT(check(&d, false) == 0);
    bytes_buf_release(&d.file);
    at %= file.len;
    file.data[at] = (char)(file.data[at] ^ (1 << (recipe[0] & 7)));
    disk_init(&d, bytes_buf_view(&file), piece);
    ASSERT(check(&d, false) != 0 || at >= end); /* no later note covers the last one */
    (void)aof_sum_vouched(&d.sys, "", at, &boot);
    ASSERT(check(&d, true) == 0);
    bytes_buf_release(&d.file);
    (void)read_items(bytes_buf_view(&file), piece, &taken);
    bytes_buf_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t taken, taken_whole;
    if (size < 3) return 0;
    size_t piece = (size_t)(data[0] & 0x7f) + 1;
    struct bytes_view in = bytes_view((const char *)data + 1, size - 1);
    if (data[0] & 0x80) {
        check_damage(data + 1, size - 1, piece);
        return 0;
    }
    uint64_t whole = read_items(in, in.len, &taken_whole);
    uint64_t pieces = read_items(in, piece, &taken);
    ASSERT(whole == pieces && taken == taken_whole);
    check_file(in, piece);
    return 0;
}
