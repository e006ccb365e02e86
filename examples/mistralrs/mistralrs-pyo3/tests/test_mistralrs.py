"""Tests of the installed module: `python -m unittest discover -s tests` or pytest."""

import unittest

import mistralrs


class TestRunner(unittest.TestCase):
    def ask(self, text: str, **options) -> "mistralrs.Completion":
        request = mistralrs.ChatCompletionRequest([("user", text)], **options)
        return mistralrs.Runner("toy").send_chat_completion_request(request)

    def test_answer(self) -> None:
        answer = self.ask("Hello!")
        self.assertIn("toy model", answer.text)
        self.assertEqual(answer.finish_reason, "stop")
        self.assertEqual(answer.prompt_tokens, 2)
        self.assertIn("toy model", repr(answer))

    def test_limit(self) -> None:
        answer = self.ask("Hello!", max_tokens=2)
        self.assertEqual((answer.completion_tokens, answer.finish_reason), (2, "length"))

    def test_seed_decides(self) -> None:
        options = {"temperature": 1.5, "seed": 4}
        self.assertEqual(self.ask("cache", **options).text, self.ask("cache", **options).text)

    def test_errors(self) -> None:
        with self.assertRaises(ValueError):
            mistralrs.Runner("")
        with self.assertRaises(ValueError):
            mistralrs.ChatCompletionRequest([])
        with self.assertRaises(ValueError):
            self.ask("x", temperature=3.0)


class TestModule(unittest.TestCase):
    def test_facts(self) -> None:
        self.assertRegex(mistralrs.__version__, r"^\d+\.\d+\.\d+$")
        self.assertIsInstance(mistralrs.backends(), list)
        self.assertEqual(mistralrs.cuda_status() == "not built", "cuda" not in mistralrs.backends())

    def test_mcp_servers(self) -> None:
        config = '{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y", "disabled": true}}}'
        self.assertEqual(mistralrs.mcp_servers(config), ["a"])
        with self.assertRaises(ValueError):
            mistralrs.mcp_servers("{}")


if __name__ == "__main__":
    unittest.main()
