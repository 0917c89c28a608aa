"""What a device may run: bundles that reproduce, and bundles that are refused."""

import json
import pathlib
import shutil
import tempfile
import unittest

from device import MODEL, WORKSHOP, WRONG_USE, Device, done, main, tinylcm


def fresh(name: str) -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(dir=WORKSHOP.folder)) / name


def flip_one_bit(path: pathlib.Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


class Bundles(unittest.TestCase):
    def refused(self, bundle: pathlib.Path, enrolled: bool = True) -> str:
        """Starts a device that comes with this bundle; gives what it says when it does not run it."""
        device = Device(self, bundle, {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())})
        if enrolled:
            device.enrol_by_hand("http://127.0.0.1:1")
        self.assertEqual(device.run_to_the_end(), WRONG_USE, device.said())
        self.assertEqual(device.log_lines(), [], "nothing was answered")
        return device.said()

    def test_fit_twice_with_the_same_data_and_seed_gives_the_same_bundle(self):
        for fit in (WORKSHOP.fit_sensor, WORKSHOP.fit_camera):
            ids = []
            for _ in range(2):
                out = fresh("bundle")
                fit(out)
                ids.append(json.loads(done("bundle", "show", out))["bundle"])
            self.assertEqual(ids[0], ids[1])
            out = fresh("bundle")
            fit(out, seed=2)
            self.assertNotEqual(json.loads(done("bundle", "show", out))["bundle"], ids[0], "the seed matters")

    def test_a_bundle_signed_by_the_publisher_is_run(self):
        device = Device(self, WORKSHOP.archive("signed.tar.zst", "publisher"),
                        {"kind": "rows", "path": str(WORKSHOP.stream_of_rows())})
        device.enrol_by_hand("http://127.0.0.1:1")
        self.assertEqual(device.run_to_the_end(), 0, device.said())
        self.assertEqual(device.indices(), list(range(600)))

    def test_an_unsigned_bundle_is_refused_as_not_signed(self):
        self.assertIn("not signed", self.refused(WORKSHOP.archive("unsigned.tar.zst", None)))

    def test_a_bundle_signed_by_another_key_is_refused_as_such(self):
        self.assertIn("signed by another key", self.refused(WORKSHOP.archive("foreign.tar.zst", "stranger")))

    def test_a_bundle_with_one_flipped_bit_anywhere_is_refused_and_said_to_be_damaged(self):
        signed = WORKSHOP.archive("signed.tar.zst", "publisher")
        size = signed.stat().st_size
        for at in (size // 8, size // 2, size - size // 8):
            with self.subTest(byte=at):
                damaged = fresh("signed.tar.zst")
                shutil.copy(signed, damaged)
                flip_one_bit(damaged, at)
                result = tinylcm("bundle", "verify", damaged, "--publisher-key", f"{WORKSHOP.key('publisher')}.pub")
                self.assertEqual(result.returncode, WRONG_USE)
                said = self.refused(damaged)
                self.assertRegex(said, "damaged|differs|changed since|corrupt|cut short")
                self.assertNotIn("not signed", said)

    def test_a_folder_with_one_flipped_bit_is_refused_naming_the_file(self):
        for name in ("reference.safetensors", "processor.safetensors", "canary.safetensors"):
            with self.subTest(file=name):
                damaged = fresh("bundle")
                shutil.copytree(WORKSHOP.sensor(), damaged)
                flip_one_bit(damaged / name, (damaged / name).stat().st_size // 2)
                said = self.refused(damaged, enrolled=False)
                self.assertIn(name, said)
                self.assertIn("sha256 differs", said)

    def test_a_truncated_model_is_refused_by_fit_and_by_a_device(self):
        whole = MODEL.read_bytes()
        cut = fresh("cut.tflite")
        cut.write_bytes(whole[: len(whole) // 2])
        result = tinylcm("fit", "--images", WORKSHOP.frames(), "--model", cut, "--out", fresh("bundle"))
        self.assertEqual(result.returncode, WRONG_USE)
        self.assertIn("cut.tflite", result.stderr)

        damaged = fresh("bundle")
        shutil.copytree(WORKSHOP.camera(), damaged)
        (damaged / "model.tflite").write_bytes(whole[: len(whole) // 2])
        device = Device(self, damaged, {"kind": "camera", "path": str(WORKSHOP.stream_of_frames())})
        self.assertEqual(device.run_to_the_end(), WRONG_USE, device.said())
        self.assertIn("model.tflite", device.said())

    def test_what_was_learned_is_made_a_bundle_only_of_the_base_it_was_learned_on(self):
        out, learned = fresh("taught.tar.zst"), fresh("adaptation.bin")
        learned.parent.mkdir(exist_ok=True)
        learned.write_bytes(b"TLCA, but torn")

        def refused(*arguments) -> str:
            result = tinylcm("bundle", "make", WORKSHOP.sensor(), "--out", out, *arguments)
            self.assertEqual(result.returncode, WRONG_USE, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertEqual(list(out.parent.glob("taught*")), [], "nothing half-made is left")
            return result.stderr

        self.assertIn("--adaptation needs --version", refused("--adaptation", learned))
        self.assertIn("--version and --taught-by go with --adaptation", refused("--version", "1.0.1"))
        self.assertIn(str(learned), refused("--adaptation", learned, "--version", "1.0.1"))


if __name__ == "__main__":
    main()
