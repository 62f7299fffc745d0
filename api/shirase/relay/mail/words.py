"""The words of our own templates, in the languages of the browser client."""

from collections.abc import Mapping
from dataclasses import dataclass

RIGHT_TO_LEFT = frozenset({"ar", "he"})


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of a mail besides the notifications; ``{n}`` is their number."""

    digest: str
    open: str
    unsubscribe: str


WORDS: Mapping[str, Words] = {
    "en": Words("{n} notifications", "Open", "Unsubscribe"),
    "ar": Words("الإشعارات: {n}", "فتح", "إلغاء الاشتراك"),
    "de": Words("{n} Benachrichtigungen", "Öffnen", "Abbestellen"),
    "es": Words("{n} notificaciones", "Abrir", "Cancelar la suscripción"),
    "fr": Words("{n} notifications", "Ouvrir", "Se désabonner"),
    "he": Words("{n} התראות", "פתיחה", "ביטול הרשמה"),
    "hi": Words("{n} सूचनाएँ", "खोलें", "सदस्यता समाप्त करें"),
    "ja": Words("{n}件の通知", "開く", "配信を停止"),
    "ko": Words("알림 {n}개", "열기", "수신 거부"),
    "pt": Words("{n} notificações", "Abrir", "Cancelar inscrição"),
    "zh": Words("{n} 条通知", "打开", "退订"),
}


def language(locale: str | None) -> str:
    """The language of a locale, among those with translations."""
    code = (locale or "en").replace("_", "-").partition("-")[0].lower()
    return code if code in WORDS else "en"
