#include "text/unicode/tables.h"

namespace anneal::text {

const PageTable<uint8_t> characterTable = PageTable<uint8_t>::fromRuns(kCharacterRuns, kCharacterRunsSize);
const PageTable<uint8_t> frontEndTable = PageTable<uint8_t>::fromRuns(kFrontEndRuns, kFrontEndRunsSize);

}  // namespace anneal::text
