/* The version of the tool, as it stands in every manifest. */
#pragma once

#define CRTOOL_VERSION "0.1.0"
