"""examples/clinic_directory in a real browser, against clinics on loopback."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect
from web_support import Desk, HeldClinics, directory_of, serving, serving_fake

from arzamed_async import Doctor
from arzamed_async.testing import FakeArzamed
from examples.clinic_directory.app import create_app
from examples.clinic_directory.demo import demo_clinics

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_cards_appear_in_the_order_in_which_the_clinics_answer(desk: Desk):
    """Each card is there as soon as its clinic has answered, behind those that came before, while others still wait."""
    arrival = ["Napoli", "Milano", "Torino", "Roma"]
    async with HeldClinics("Milano", "Roma", "Napoli", "Torino") as held:
        async with serving(directory_of(held.clinics, held.base_url)) as url:
            await desk.page.goto(url)
            for number, name in enumerate(arrival):
                await expect(desk.page.locator("#facts")).to_contain_text(f"{number} of 4 clinics")
                held.let(name)
                await expect(desk.headings).to_have_text(arrival[: number + 1])
            await desk.done()
            await expect(desk.page.locator("#facts")).to_have_text("4 clinics · 4 doctors")


async def test_while_the_last_clinics_are_waited_for_they_are_named(desk: Desk):
    """Who reads sees which clinics are still to come, once they are two or fewer."""
    async with HeldClinics("Milano", "Roma", "Napoli") as held:
        async with serving(directory_of(held.clinics, held.base_url)) as url:
            await desk.page.goto(url)
            held.let("Milano")
            await expect(desk.page.locator("#facts")).to_contain_text("waiting for Roma and Napoli")
            held.let("Roma")
            held.let("Napoli")
            await desk.done()
            await expect(desk.page.locator("#facts")).not_to_contain_text("waiting")


async def test_the_demo_shows_a_dozen_clinics_with_photos_and_why_one_could_not_be_read(desk: Desk, picture):
    """The demo: twelve cards, photos from the embedded Arzamed, the revoked clinic's reason in words, no console error."""
    async with serving(create_app(demo_clinics)) as url:
        await desk.read(url)
        await expect(desk.cards).to_have_count(12)
        failed = desk.page.locator(".failed")
        await expect(failed.locator("h2")).to_have_text(["Bari Vecchia"])
        await expect(failed.locator(".what")).to_have_text("The clinic no longer accepts our key.")
        await expect(failed.locator(".remedy")).to_contain_text("Ask the clinic's administrator for a new key")
        assert not re.search(r"Error|invalid_client|40\d|None|\{", await failed.inner_text())
        await expect(desk.headings.last).to_have_text("Palermo Kalsa")  # the slow one
        assert await desk.doctors.count() == 40
        for image in await desk.page.locator("img").all():
            await image.scroll_into_view_if_needed()
        await expect(desk.page.locator("img")).not_to_have_count(0)
        for image in await desk.page.locator("img").all():
            await expect(image).to_have_js_property("complete", True)
            assert await image.evaluate("image => image.naturalWidth") > 0
        await desk.page.mouse.move(0, 0)
        await desk.page.locator("body").evaluate("body => window.scrollTo(0, 0)")
        await desk.page.screenshot(path=picture, animations="disabled")
    assert picture.stat().st_size > 20_000


async def test_a_photo_is_lazy_has_an_alternative_text_and_initials_where_there_is_none(desk: Desk):
    """Photos load when they come into view, tell whose they are, and initials stand for those that are missing or broken."""
    async with FakeArzamed() as fake:
        doctors = [
            Doctor("Dr. Ada Inventata", fake.photo_url("Dr. Ada Inventata")),
            Doctor("Dott.ssa Bea de Finta", None),
            Doctor("Prof. Élio", f"{fake.origin}/photos/lost.png"),
        ]
        clinics = [fake.add_clinic("Milano", doctors=doctors)]
        async with serving_fake(fake, clinics) as url:
            await desk.read(url)
            image = desk.page.locator("img")
            await expect(image).to_have_count(1)  # the broken one is taken away
            await expect(image).to_have_attribute("alt", "Photo of Dr. Ada Inventata")
            await expect(image).to_have_attribute("loading", "lazy")
            await expect(desk.page.locator(".initials")).to_have_text(["AI", "BF", "É"])
    assert [text for text in desk.complaints if "404" not in text] == []
    desk.complaints.clear()


async def test_photos_from_elsewhere_are_not_loaded(desk: Desk):
    """The policy lets photos come from the places it names and from nowhere else."""
    async with FakeArzamed() as fake, FakeArzamed() as elsewhere:
        clinics = [fake.add_clinic("Milano", doctors=[Doctor("Dr. Finto", elsewhere.photo_url("Dr. Finto"))])]
        async with serving_fake(fake, clinics) as url:
            await desk.read(url)
            await expect(desk.page.locator("img")).to_have_count(0)
    assert desk.complaints
    assert all("Content Security Policy" in text for text in desk.complaints)
    desk.complaints.clear()


async def test_searching_shows_the_doctors_that_match_and_hides_the_other_clinics(desk: Desk):
    """Every word counts, accents and case do not; a clinic that could not be read stays, since the doctor may be there."""
    async with FakeArzamed() as fake:
        clinics = [
            fake.add_clinic("Milano", doctors=["Dr. Sara Città", "Dr. Ugo Finto"]),
            fake.add_clinic("Roma", doctors=["Dr. Ada Finta"]),
            fake.add_clinic("Bari"),
        ]
        fake.revoke_key("Bari")
        async with serving_fake(fake, clinics) as url:
            await desk.read(url)
            search = desk.page.get_by_label("Find a doctor by name")
            await search.press_sequentially("CITTA")
            await expect(desk.doctors).to_have_text(["Dr. Sara Città"])
            assert set(await desk.headings.all_inner_texts()) == {"Milano", "Bari"}
            await expect(desk.page.locator("#facts")).to_contain_text("1 match")
            await search.fill("fint dr")
            assert set(await desk.doctors.all_inner_texts()) == {"Dr. Ugo Finto", "Dr. Ada Finta"}
            await search.fill("zzz")
            await expect(desk.page.get_by_text("No doctor is called “zzz”.")).to_be_visible()
            await search.press("Escape")
            await expect(desk.doctors).to_have_count(3)
            await expect(desk.page.locator("#nobody")).to_be_hidden()


async def test_a_card_that_arrives_during_a_search_is_filtered_too(desk: Desk):
    """What is typed holds for answers that come later."""
    async with HeldClinics("Milano", "Roma") as held:
        async with serving(directory_of(held.clinics, held.base_url)) as url:
            await desk.page.goto(url)
            await desk.page.get_by_label("Find a doctor by name").fill("roma")
            held.let("Milano")
            await expect(desk.page.locator("#facts")).to_contain_text("1 of 2 clinics")
            await expect(desk.cards).to_have_count(0)
            held.let("Roma")
            await expect(desk.headings).to_have_text(["Roma"])


async def test_screen_readers_hear_the_beginning_the_end_and_the_result_of_a_search(desk: Desk):
    """The one live region speaks three times, and never for a single card."""
    async with HeldClinics("Milano", "Roma") as held:
        async with serving(directory_of(held.clinics, held.base_url)) as url:
            await desk.page.goto(url)
            status = desk.page.get_by_role("status")
            await expect(status).to_have_text("Reading 2 clinics.")
            held.let("Milano")
            await expect(desk.cards).to_have_count(1)
            await expect(status).to_have_text("Reading 2 clinics.")
            held.let("Roma")
            await expect(status).to_have_text("2 clinics, 2 doctors. All clinics have answered.")
            await desk.page.get_by_label("Find a doctor by name").press_sequentially("milano")
            await expect(status).to_have_text("1 doctor matches.")
            assert await desk.page.locator("[aria-live], [role=status], [role=alert]").count() == 1


async def test_the_page_can_be_used_by_keyboard_alone(desk: Desk):
    """Tab goes to the skip link, the search and the button, each visibly; Enter skips, and reads again."""
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic("Milano"), fake.add_clinic("Roma")]
        async with serving_fake(fake, clinics) as url:
            await desk.read(url)
            keyboard, order = desk.page.keyboard, []
            for _ in range(3):
                await keyboard.press("Tab")
                order.append(await desk.focused())
                focused = desk.page.locator(":focus")
                await expect(focused).to_be_in_viewport(ratio=1)
                assert await focused.evaluate("element => parseFloat(getComputedStyle(element).outlineWidth)") >= 2
            assert order == ["skip", "query", "again"]
            before = fake.api_requests()
            await keyboard.press("Enter")
            await expect(desk.cards).to_have_count(2)
            await desk.done()
            assert fake.api_requests() == before + 2
            assert await desk.focused() == "again"
            await keyboard.press("Shift+Tab")
            await keyboard.press("Shift+Tab")
            await keyboard.press("Enter")
            assert await desk.focused() == "clinics"


async def test_names_are_text_whatever_stands_in_them(desk: Desk):
    """Markup in the name of a doctor or a clinic is shown as it is, and makes no element."""
    evil = "<img src=x onerror=document.title='stolen'><script>document.title='stolen'</script>"
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic(evil, doctors=[evil, Doctor("Dr. Link", "javascript:document.title='stolen'")])]
        async with serving_fake(fake, clinics) as url:
            await desk.read(url)
            await expect(desk.headings).to_have_text([evil])
            await expect(desk.doctors).to_have_text([evil, "Dr. Link"])
            await desk.page.get_by_label("Find a doctor by name").fill("<b>none</b>")
            await expect(desk.page.locator("#nobody")).to_have_text("No doctor is called “<b>none</b>”.")
            assert await desk.page.locator("#cards script, #cards [src=x], #nobody b").count() == 0
            assert await desk.page.title() == "Doctors of all clinics"
    assert [text for text in desk.complaints if "javascript:" not in text] == []
    desk.complaints.clear()


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
async def test_nothing_is_wider_than_the_window(desk: Desk, width: int):
    """From a small phone on, no name of any length makes the page scroll sideways."""
    long = "Dr. " + "Inventatissima" * 12
    async with FakeArzamed() as fake:
        clinics = [fake.add_clinic("Casadicura" * 10, doctors=[long, "Dr. Finto"]), fake.add_clinic("Bari")]
        fake.revoke_key("Bari")
        await desk.page.set_viewport_size({"width": width, "height": 740})
        async with serving_fake(fake, clinics) as url:
            await desk.read(url)
            await expect(desk.cards).to_have_count(2)
            assert await desk.page.locator("html").evaluate("html => html.scrollWidth") <= width


async def test_at_night_the_page_is_dark(desk: Desk):
    """With prefers-color-scheme: dark the ground is dark and the text light."""

    async def lightness(page: Page, what: str) -> int:
        colour = await page.locator("body").evaluate(f"body => getComputedStyle(body).{what}")
        return sum(int(number) for number in re.findall(r"\d+", colour)[:3])

    async with FakeArzamed() as fake:
        async with serving_fake(fake, [fake.add_clinic("Milano")]) as url:
            await desk.read(url)
            assert await lightness(desk.page, "backgroundColor") > await lightness(desk.page, "color") + 300
            await desk.page.emulate_media(color_scheme="dark")
            assert await lightness(desk.page, "backgroundColor") < await lightness(desk.page, "color") - 300


async def test_a_broken_connection_is_told_and_can_be_mended(desk: Desk):
    """When the stream breaks the page says so, asks no more on its own, and reads again when told to."""
    async with FakeArzamed() as fake:
        async with serving_fake(fake, [fake.add_clinic("Milano")]) as url:
            await desk.page.route("**/doctors", lambda route: route.abort())
            await desk.page.goto(url)
            await expect(desk.page.locator("#broken")).to_contain_text("The connection to this page's server broke.")
            await desk.page.unroute("**/doctors")
            await desk.page.get_by_role("button", name="Read again").click()
            await expect(desk.headings).to_have_text(["Milano"])
            await expect(desk.page.locator("#broken")).to_be_hidden()
    assert [text for text in desk.complaints if "ERR_FAILED" not in text] == []
    desk.complaints.clear()


async def test_no_clinics_and_no_doctors_are_said_in_words(desk: Desk):
    """A clinic without doctors has a card that says so."""
    async with FakeArzamed() as fake:
        async with serving_fake(fake, [fake.add_clinic("Milano", doctors=[])]) as url:
            await desk.read(url)
            await expect(desk.page.locator(".count")).to_have_text(["No active doctors"])
            await expect(desk.page.locator("#facts")).to_have_text("1 clinic · 0 doctors")
