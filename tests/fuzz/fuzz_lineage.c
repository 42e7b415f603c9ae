/* fuzz_lineage.c -- any bytes as a lineage file, without and with the right first line and checksum.
 * What is accepted means the same when it is written again; what is refused leaves the record as it was, with a reason. */
#include <inttypes.h>

#include "server/persistence/lineage_text.h"
#include "storage/base/assert.h"
#include "storage/base/crc64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(const struct lineage_record *record)
{
    struct bytes_buf text = {0}, again = {0};
    struct lineage_record read;
    const char *why;
    ASSERT(record->sentinel_count <= LINEAGE_LIST_MAX && record->replica_count <= LINEAGE_LIST_MAX);
    lineage_text_format(record, &text);
    ASSERT(text.len <= LINEAGE_TEXT_MAX);
    int rc = lineage_text_parse(bytes_buf_view(&text), &read, &why);
    ASSERT(rc == 0);
    lineage_text_format(&read, &again);
    ASSERT(bytes_equal(bytes_buf_view(&text), bytes_buf_view(&again)));
    bytes_buf_release(&text);
    bytes_buf_release(&again);
}

static void parse(struct bytes_view text)
{
    struct lineage_record record = {.keys = 77};
    const char *why = NULL;
    if (lineage_text_parse(text, &record, &why) == 0) {
        check_accepted(&record);
        return;
    }
    ASSERT(why != NULL);
    ASSERT(record.keys == 77);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_buf text = {0};
    parse(bytes_view(data, size));
    bytes_buf_printf(&text, "lockstep-lineage 1\n");
    bytes_buf_append(&text, data, size);
    bytes_buf_printf(&text, "checksum %016" PRIx64 "\n", crc64(0, text.data, text.len));
    parse(bytes_buf_view(&text));
    bytes_buf_release(&text);
    return 0;
}
