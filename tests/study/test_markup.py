"""Pictures as HTML."""

from __future__ import annotations

from robult_study.markup import html_image


def test_a_picture_stands_in_the_page_and_its_alt_text_is_escaped():
    image = html_image("cG5n", 'a < "b"')
    assert image == '<img src="data:image/png;base64,cG5n" alt="a &lt; &quot;b&quot;">'


def test_a_style_is_added_where_one_is_given():
    assert html_image("cG5n", "a", style="max-width: 100%").endswith('style="max-width: 100%">')
