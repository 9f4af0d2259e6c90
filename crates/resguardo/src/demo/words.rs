//! Names for the demo's shop: a natural-products shop of the Caribbean, in two languages.

pub const FIRST_NAMES: &[&str] = &[
    "María",
    "José",
    "Ana",
    "Luis",
    "Carmen",
    "Juan",
    "Rosa",
    "Pedro",
    "Altagracia",
    "Rafael",
    "Yolanda",
    "Miguel",
    "Sofía",
    "Andrés",
    "Valentina",
    "Diego",
    "Camila",
    "Ramón",
    "Lucía",
    "Emilio",
    "Noelia",
    "Íñigo",
    "Beatriz",
    "Óscar",
    "Emily",
    "James",
    "Olivia",
    "Noah",
    "Grace",
    "Liam",
    "Zoë",
    "Chloé",
];

pub const LAST_NAMES: &[&str] = &[
    "Pérez",
    "Rodríguez",
    "García",
    "Martínez",
    "Núñez",
    "Peña",
    "Jiménez",
    "Castillo",
    "Reyes",
    "Santana",
    "de la Cruz",
    "Mejía",
    "Rosario",
    "Guzmán",
    "Batista",
    "Almonte",
    "Vásquez",
    "Núñez de Cáceres",
    "Brito",
    "Ortiz",
    "Muñoz",
    "Acosta",
    "Smith",
    "O'Brien",
    "Johnson",
    "Müller",
    "Dubois",
    "Taylor",
];

pub const CITIES: &[(&str, &str)] = &[
    ("Santo Domingo", "DO"),
    ("Santiago de los Caballeros", "DO"),
    ("La Vega", "DO"),
    ("Bogotá", "CO"),
    ("Medellín", "CO"),
    ("Cali", "CO"),
    ("Ciudad de México", "MX"),
    ("Guadalajara", "MX"),
    ("Lima", "PE"),
    ("Quito", "EC"),
    ("San José", "CR"),
    ("Panamá", "PA"),
    ("Madrid", "ES"),
    ("Miami", "US"),
    ("New York", "US"),
];

/// Product, its description in Spanish and in English.
pub const PRODUCTS: &[(&str, &str, &str)] = &[
    (
        "Jabón de avena y miel",
        "Jabón artesanal para piel sensible.",
        "Handmade soap for sensitive skin.",
    ),
    (
        "Aceite de coco virgen",
        "Prensado en frío, sin refinar.",
        "Cold pressed, unrefined.",
    ),
    (
        "Té de moringa",
        "Hojas secas al sol, bolsita de 50 g.",
        "Sun-dried leaves, 50 g bag.",
    ),
    (
        "Cacao en polvo",
        "Cacao orgánico de la cordillera.",
        "Organic cocoa from the mountains.",
    ),
    (
        "Miel de campanilla",
        "Miel cruda de flor de campanilla.",
        "Raw bellflower honey.",
    ),
    (
        "Crema de manteca de karité",
        "Hidrata manos y rostro.",
        "Moisturises hands and face.",
    ),
    (
        "Champú de romero",
        "Sin sulfatos, para uso diario.",
        "Sulphate free, for daily use.",
    ),
    (
        "Bálsamo de caléndula",
        "Alivia la piel irritada.",
        "Soothes irritated skin.",
    ),
    (
        "Café de altura",
        "Tueste medio, grano entero.",
        "Medium roast, whole bean.",
    ),
    (
        "Sal de mar ahumada",
        "Ahumada con madera de guayaba.",
        "Smoked over guava wood.",
    ),
    (
        "Exfoliante de azúcar",
        "Azúcar morena y aceite de almendras.",
        "Brown sugar and almond oil.",
    ),
    (
        "Infusión de jengibre y limón",
        "Doce sobres.",
        "Twelve sachets.",
    ),
    (
        "Vela de cera de soya",
        "Aroma de vainilla y canela.",
        "Vanilla and cinnamon scent.",
    ),
    ("Spirulina", "Tabletas de 500 mg.", "500 mg tablets."),
    (
        "Agua de rosas",
        "Tónico facial sin alcohol.",
        "Alcohol-free facial toner.",
    ),
    (
        "Harina de yuca",
        "Sin gluten, molida en piedra.",
        "Gluten free, stone ground.",
    ),
];

pub const SIZES: &[&str] = &[
    "50 g", "100 g", "250 g", "500 g", "1 kg", "30 ml", "100 ml", "250 ml",
];

pub const METHODS: &[&str] = &["tarjeta", "transferencia", "efectivo", "card", "paypal"];
