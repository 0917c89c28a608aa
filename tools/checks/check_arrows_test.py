#!/usr/bin/env python3
"""check_arrows refuses what it should, on a small tree made for the purpose."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_arrows  # noqa: E402


class CheckArrows(unittest.TestCase):
    def refused(self, path: str, include: str) -> list[str]:
        with tempfile.TemporaryDirectory() as root:
            file = pathlib.Path(root) / path
            file.parent.mkdir(parents=True)
            file.write_text(f"#include {include}\n")
            return check_arrows.check(pathlib.Path(root))

    def test_the_server_may_not_use_the_device(self):
        self.assertTrue(self.refused("tinysphere/fleet/a.cc", '"tinylcm/drift/detectors/cusum.h"'))

    def test_the_protocol_may_not_use_the_server(self):
        self.assertTrue(self.refused("protocol/a.h", '"tinysphere/http/router.h"'))

    def test_drift_may_not_use_the_pipeline(self):
        self.assertTrue(self.refused("tinylcm/src/drift/a.cc", '"tinylcm/pipeline/pipeline.h"'))

    def test_a_third_party_header_outside_platform_is_refused(self):
        self.assertTrue(self.refused("tinylcm/src/sync/a.cc", "<curl/curl.h>"))
        self.assertTrue(self.refused("tinylcm/src/sync/a.cc", "<unistd.h>"))

    def test_a_third_party_header_below_platform_is_fine(self):
        self.assertFalse(self.refused("tinylcm/src/platform/curl/a.cc", "<curl/curl.h>"))

    def test_a_module_sees_an_interface_never_platform(self):
        self.assertTrue(self.refused("tinylcm/src/sync/a.cc", '"tinylcm/src/platform/curl/transport.h"'))

    def test_arrows_that_point_forward_hold(self):
        self.assertFalse(self.refused("tinylcm/src/pipeline/a.cc", '"tinylcm/drift/detectors/cusum.h"'))
        self.assertFalse(self.refused("tinysphere/fleet/a.cc", '"protocol/manifest.h"'))
        self.assertFalse(self.refused("agent/a.cc", '"tinylcm/pipeline/pipeline.h"'))


if __name__ == "__main__":
    unittest.main()
