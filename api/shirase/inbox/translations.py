"""The service's own words in mail and on the page for unsubscribing, in the languages of the browser client."""

from collections.abc import Mapping
from dataclasses import dataclass

RIGHT_TO_LEFT = frozenset({"ar", "he"})


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language; ``{n}`` is a number of notifications, ``{label}`` the label of a type."""

    digest: str
    open: str
    unsubscribe: str
    ask: str  # before unsubscribing from a type
    ask_all: str  # or from all types
    done: str
    done_all: str
    critical: str
    invalid: str


WORDS: Mapping[str, Words] = {
    "en": Words(
        "{n} notifications",
        "Open",
        "Unsubscribe",
        "Unsubscribe from “{label}”?",
        "Unsubscribe from all notification emails?",
        "You are unsubscribed from “{label}”.",
        "You are unsubscribed from all notification emails.",
        "These emails cannot be switched off.",
        "This link is not valid.",
    ),
    "ar": Words(
        "الإشعارات: {n}",
        "فتح",
        "إلغاء الاشتراك",
        "هل تريد إلغاء الاشتراك في «{label}»؟",
        "هل تريد إلغاء الاشتراك في جميع رسائل الإشعارات؟",
        "تم إلغاء اشتراكك في «{label}».",
        "تم إلغاء اشتراكك في جميع رسائل الإشعارات.",
        "لا يمكن إيقاف هذه الرسائل.",
        "هذا الرابط غير صالح.",
    ),
    "de": Words(
        "{n} Benachrichtigungen",
        "Öffnen",
        "Abbestellen",
        "„{label}“ abbestellen?",
        "Alle Benachrichtigungs-E-Mails abbestellen?",
        "„{label}“ ist abbestellt.",
        "Alle Benachrichtigungs-E-Mails sind abbestellt.",
        "Diese E-Mails können nicht abbestellt werden.",
        "Dieser Link ist ungültig.",
    ),
    "es": Words(
        "{n} notificaciones",
        "Abrir",
        "Cancelar la suscripción",
        "¿Cancelar la suscripción a «{label}»?",
        "¿Cancelar la suscripción a todos los correos de notificación?",
        "Se ha cancelado la suscripción a «{label}».",
        "Se ha cancelado la suscripción a todos los correos de notificación.",
        "Estos correos no se pueden desactivar.",
        "Este enlace no es válido.",
    ),
    "fr": Words(
        "{n} notifications",
        "Ouvrir",
        "Se désabonner",
        "Se désabonner de « {label} » ?",
        "Se désabonner de tous les e-mails de notification ?",
        "Désabonnement effectué : « {label} ».",
        "Désabonnement effectué : tous les e-mails de notification.",
        "Ces e-mails ne peuvent pas être désactivés.",
        "Ce lien n'est pas valide.",
    ),
    "he": Words(
        "{n} התראות",
        "פתיחה",
        "ביטול הרשמה",
        "לבטל את ההרשמה אל ”{label}“?",
        "לבטל את ההרשמה לכל הודעות הדוא״ל?",
        "ההרשמה אל ”{label}“ בוטלה.",
        "ההרשמה לכל הודעות הדוא״ל בוטלה.",
        "אי אפשר לבטל את ההודעות האלה.",
        "הקישור אינו תקין.",
    ),
    "hi": Words(
        "{n} सूचनाएँ",
        "खोलें",
        "सदस्यता समाप्त करें",
        "“{label}” की सदस्यता समाप्त करें?",
        "सभी सूचना ईमेल की सदस्यता समाप्त करें?",
        "“{label}” की सदस्यता समाप्त हो गई है।",
        "सभी सूचना ईमेल की सदस्यता समाप्त हो गई है।",
        "ये ईमेल बंद नहीं किए जा सकते।",
        "यह लिंक मान्य नहीं है।",
    ),
    "ja": Words(
        "{n}件の通知",
        "開く",
        "配信を停止",
        "「{label}」の配信を停止しますか?",
        "すべての通知メールの配信を停止しますか?",
        "「{label}」の配信を停止しました。",
        "すべての通知メールの配信を停止しました。",
        "このメールの配信は停止できません。",
        "このリンクは無効です。",
    ),
    "ko": Words(
        "알림 {n}개",
        "열기",
        "수신 거부",
        "“{label}” 수신을 거부하시겠습니까?",
        "모든 알림 메일의 수신을 거부하시겠습니까?",
        "“{label}” 수신을 거부했습니다.",
        "모든 알림 메일의 수신을 거부했습니다.",
        "이 메일은 수신을 거부할 수 없습니다.",
        "유효하지 않은 링크입니다.",
    ),
    "pt": Words(
        "{n} notificações",
        "Abrir",
        "Cancelar inscrição",
        "Cancelar a inscrição em “{label}”?",
        "Cancelar a inscrição em todos os e-mails de notificação?",
        "A inscrição em “{label}” foi cancelada.",
        "A inscrição em todos os e-mails de notificação foi cancelada.",
        "Estes e-mails não podem ser desativados.",
        "Este link não é válido.",
    ),
    "zh": Words(
        "{n} 条通知",
        "打开",
        "退订",
        "要退订“{label}”吗?",
        "要退订所有通知邮件吗?",
        "您已退订“{label}”。",
        "您已退订所有通知邮件。",
        "此类邮件无法退订。",
        "此链接无效。",
    ),
}


def language(locale: str | None) -> str:
    """The language of a locale, or of an ``Accept-Language``'s first, among those with translations."""
    code = (locale or "en").partition(",")[0].partition(";")[0].replace("_", "-").partition("-")[0].strip().lower()
    return code if code in WORDS else "en"
